# The queue that an aws-auth-refresher receives IAM's events from, and the rule
# that fills it. IAM's events appear in one region of a partition (us-east-1,
# us-gov-west-1, cn-north-1): the provider aws.home. The queue is in the region
# of the provider aws, which may be the same; if it is not, a second rule
# forwards the events.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 5.0"
      configuration_aliases = [aws.home]
    }
  }
}

variable "cluster_name" {
  description = "Name of the cluster; each one has a queue of its own."
  type        = string
}

variable "forward" {
  description = "Whether to forward IAM's events to the region of the queue: where that is another one, and for one cluster of that region only."
  type        = bool
  default     = false
}

locals {
  pattern = jsonencode({
    source        = ["aws.iam"]
    "detail-type" = ["AWS API Call via CloudTrail"]
    detail = {
      eventSource = ["iam.amazonaws.com"]
      errorCode   = [{ exists = false }]
      eventName = [
        "AddUserToGroup",
        "CreateRole",
        "CreateUser",
        "DeleteRole",
        "DeleteRolePermissionsBoundary",
        "DeleteUser",
        "DeleteUserPermissionsBoundary",
        "PutRolePermissionsBoundary",
        "PutUserPermissionsBoundary",
        "RemoveUserFromGroup",
        "TagRole",
        "TagUser",
        "UntagRole",
        "UntagUser",
        "UpdateUser",
      ]
    }
  })
  # A rule's name has at most 64 characters, that of the forwarding one included.
  long = "aws-auth-refresher-${var.cluster_name}"
  name = length(local.long) <= 56 ? local.long : "${substr(local.long, 0, 47)}-${substr(sha1(local.long), 0, 8)}"
  # The region is read off an ARN: aws_region calls it differently from one
  # version of the provider to the next.
  region = split(":", aws_sqs_queue.events.arn)[3]
  bus    = "arn:${data.aws_partition.this.partition}:events:${local.region}:${data.aws_caller_identity.this.account_id}:event-bus/default"
}

data "aws_partition" "this" {}
data "aws_caller_identity" "this" {}

resource "aws_sqs_queue" "events" {
  name = local.name
  # What nobody received within an hour was long found by polling.
  message_retention_seconds  = 3600
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 60
  sqs_managed_sse_enabled    = true
}

resource "aws_cloudwatch_event_rule" "iam" {
  name          = local.name
  description   = "What changes who may come into the cluster"
  event_pattern = local.pattern
}

resource "aws_cloudwatch_event_target" "queue" {
  rule = aws_cloudwatch_event_rule.iam.name
  arn  = aws_sqs_queue.events.arn
}

# Only this rule may send. Whoever else may can make the controller list IAM
# more often, and nothing worse.
resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventsOfIAM"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.events.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.iam.arn } }
    }]
  })
}

resource "aws_iam_role" "forward" {
  count       = var.forward ? 1 : 0
  provider    = aws.home
  name_prefix = "aws-auth-refresher-events-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "forward" {
  count    = var.forward ? 1 : 0
  provider = aws.home
  name     = "forward"
  role     = aws_iam_role.forward[0].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "events:PutEvents", Resource = local.bus }]
  })
}

resource "aws_cloudwatch_event_rule" "forward" {
  count         = var.forward ? 1 : 0
  provider      = aws.home
  name          = "${local.name}-forward"
  description   = "What changes who may come into the cluster"
  event_pattern = local.pattern
}

resource "aws_cloudwatch_event_target" "forward" {
  count    = var.forward ? 1 : 0
  provider = aws.home
  rule     = aws_cloudwatch_event_rule.forward[0].name
  arn      = local.bus
  role_arn = aws_iam_role.forward[0].arn
}

output "queue_url" {
  description = "For --events-queue-url"
  value       = aws_sqs_queue.events.id
}
