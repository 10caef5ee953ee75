"""Sources that are looked at again and again: a folder into which files are dropped, a URL that is fetched.

`port` says what such a source does, `folder` and `url` do it, `watcher` imports what arrives. Start reading at
`watcher.Watcher`.
"""
