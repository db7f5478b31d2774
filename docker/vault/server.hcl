# A single Vault for compose.yaml. Within the compose network only; a real one listens with TLS.
storage "file" {
  path = "/vault/file"
}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}

api_addr = "http://vault:8200"
