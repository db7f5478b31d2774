"""What people use of Slipway from their own machines: it speaks to the service over HTTP only."""
