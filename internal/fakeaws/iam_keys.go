package fakeaws

type accessKeyResult struct{ AccessKey xmlAccessKey }

func createAccessKey(c *call) (any, error) {
	u, err := c.userOrCaller()
	if err != nil {
		return nil, err
	}
	k, secret, err := c.account.createAccessKey(c.now, u)
	if err != nil {
		return nil, err
	}
	x := keyXML(u, k)
	x.SecretAccessKey = secret
	return accessKeyResult{x}, nil
}

func keyXML(u *user, k accessKey) xmlAccessKey {
	return xmlAccessKey{UserName: u.name, AccessKeyID: k.id, Status: k.status, CreateDate: xmlTime(k.created)}
}

type listAccessKeysResult struct {
	AccessKeyMetadata *list[xmlAccessKey]
	page
}

func listAccessKeys(c *call) (any, error) {
	u, err := c.userOrCaller()
	if err != nil {
		return nil, err
	}
	keys, p, err := paginate(c, u.keys, func(k accessKey) string { return k.id })
	if err != nil {
		return nil, err
	}
	return listAccessKeysResult{listOf(keys, func(k accessKey) xmlAccessKey { return keyXML(u, k) }), p}, nil
}

func deleteAccessKey(c *call) (any, error) {
	u, err := c.userOrCaller()
	if err != nil {
		return nil, err
	}
	return nil, c.account.deleteAccessKey(u, c.params.get("AccessKeyId"))
}
