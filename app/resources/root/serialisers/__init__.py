"""What the root API says of each kind of thing: fields, declared once, and how to write them."""
