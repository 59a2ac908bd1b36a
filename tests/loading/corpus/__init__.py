"""Files for tests of loading, made by scripts: sound ones with known content, and ones that are meant to harm."""
