from simorgh.cli import process

process()
