"""The shop over HTTP: reads requests, runs flows, writes answers; decides nothing itself."""
