"""Pull: a vendor's API into a store, completely, in steps that can be stopped and go on."""
