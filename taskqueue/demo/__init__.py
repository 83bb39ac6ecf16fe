"""`taskqueue demo`: the files of a real folder as tasks, real workers, one of them killed on the way.

What is shown at the end comes from the task log; whether it is true is checked against a plain walk of the folder.
"""
