"""The file connector: what a till or a shop exports as a file becomes events.

`mapping` says which column means what, `reader` makes rows of a file, `orders` makes events of rows,
`importer` sends them (`sinks`) and reports. Start reading at `importer.import_file`.
"""
