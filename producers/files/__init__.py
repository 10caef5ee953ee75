"""The file connector: turns a file of orders, people, accounts, leads or events into events.

`mapping` gives columns their meaning, `recognise` sees what the mapping leaves open, `reader` makes rows of a file,
`orders` and `rows` make events of rows (cells are read in `cells`, `numbers`, `dates`), `importer` sends them (`sinks`)
and reports. `guess` writes a mapping for a file that has none. Start reading at `importer.import_file`.
"""
