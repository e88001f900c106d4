"""From a manifest to a dataset: fetch, verify, unpack, read, filter, number."""
