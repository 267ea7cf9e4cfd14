"""The switchboard: the telephone company we test against, a SOAP dialer of our own.

It serves `dialer-v1.wsdl` over HTTP, keeps its own database (alias `switchboard`), runs the chain
engine and dials lines, simulated ones for now. It shares no table and no transaction with the
application and is reached only by SOAP, so that it could as well stand on another machine.
"""
