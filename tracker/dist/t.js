// Adtrail: the tag is not built yet.
