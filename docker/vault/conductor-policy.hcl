# What conductors may do: read SSH keys at the moment of a login, and remove those that a rotation
# has replaced; never write one. It is for the role of ssh_keys.vault.reader, which web processes
# never get. Never give it to the role that writes keys.

path "secret/data/ssh-credentials/*" {
  capabilities = ["read"]
}

path "secret/metadata/ssh-credentials/*" {
  capabilities = ["delete"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
