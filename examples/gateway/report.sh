#!/bin/sh
# Reports a reading through the agent's socket and fails unless it is stored: report.sh TOPIC PAYLOAD
exec keyward agent send --config "${AGENT_CONFIG:-/etc/keyward/agent.toml}" "$1" "$2"
