# What opens the SSH connections may do, such as Yorc: read keys, never write one.
# Never give this policy to the gateway: whoever breaks into the gateway could then read every key.

path "secret/data/ssh-credentials/*" {
  capabilities = ["read"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
