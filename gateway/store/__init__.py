"""Messages, events, jobs and blobs, kept so that a killed process loses nothing.

Rows live in SQLite or another SQLAlchemy database, content in files. The modules hold
functions on an open transaction; who opens it decides what belongs together::

    with database.write() as tx:
        letter = messages.add(tx, message)
        jobs.add(tx, letter, Task.SEND, due=now)

What a status means is not known here; that is `gateway.lifecycle`.
"""
