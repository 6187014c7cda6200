# syntax=docker/dockerfile:1

# The compiler runs on the builder's own platform and cross-compiles, so no image
# is ever built under emulation.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath \
      -ldflags "-s -w -X github.com/aws-auth-refresher/aws-auth-refresher/internal/app.version=$VERSION" \
      -o /out/aws-auth-refresher . \
    && ln -s aws-auth-refresher /out/start

# CA certificates and a passwd file, no shell. Nothing is written to the root file
# system, which may be read-only.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.source="https://github.com/aws-auth-refresher/aws-auth-refresher" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/LICENSE /licenses/LICENSE
# Also as /start, which is the login proxy: what runs images of eks-auth-proxy says
# ./start, be it as arguments (docker run IMAGE ./start --flags) or as command.
COPY --from=build /out/ /
WORKDIR /
# By number, so that runAsNonRoot can be checked.
USER 65532:65532
ENTRYPOINT ["/aws-auth-refresher"]
