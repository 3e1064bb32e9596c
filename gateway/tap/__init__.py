"""The tap: the gateway in front of an endpoint that others use, seeing what passes.

`relay` carries bytes and knows no HTTP; that is why nothing here can change or delay a
call. `observer` sees in the passing bytes where a call begins and ends, `recorder` takes
them off the traffic's path, `recording` writes what was seen, `mirror` asks a second
endpoint the same.
"""
