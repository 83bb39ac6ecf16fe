"""`taskqueue demo`: the files of a real folder as tasks under a real supervisor, one of its workers killed on the way.

The supervisor is a process that is started by its command: nothing here imports it. What is shown at the end comes from
the task log; whether it is true is checked against a plain walk of the folder.
"""
