"""What must hold for every stack on Azure, as plain functions; `__main__.py` makes a CrossGuard pack of them."""
