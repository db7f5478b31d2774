# What the gateway may do: store SSH keys and delete them, never read one back.
# "secret" is the mount of the KV version 2 engine and "ssh-credentials" the folder; they stand in
# the gateway's settings as ssh_keys.vault.mount and ssh_keys.vault.path.

path "secret/data/ssh-credentials/*" {
  capabilities = ["create", "update"]
}

# Deleting the metadata of a key deletes all its versions.
path "secret/metadata/ssh-credentials/*" {
  capabilities = ["delete"]
}

# The token looks after itself. Vault's "default" policy grants these, too; with them here, the role
# can go without it (token_no_default_policy=true).
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

# Lets the gateway say at its start which of these capabilities is missing.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
