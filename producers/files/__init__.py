"""The file connector: turns an export of a till or a shop into events. `mapping` gives columns their meaning, `reader`
makes rows of a file, `orders` makes events of rows, `importer` sends them (`sinks`) and reports. Start reading at
`importer.import_file`.
"""
