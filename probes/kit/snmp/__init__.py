"""Reading tables from gateways and switches by SNMP v2c and v3: credentials, a bounded session, and the tables."""
