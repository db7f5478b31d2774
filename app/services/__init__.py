"""What the product does, and who may do it; knows no HTTP and no wire format."""
