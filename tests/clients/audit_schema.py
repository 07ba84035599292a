"""Validates each line of an audit log against its JSON Schema.

    audit_schema.py SCHEMA TRAIL
"""

import json
import sys

import fastjsonschema

schema_file, trail = sys.argv[1:]
with open(schema_file) as text:
    schema = json.load(text)
fits = fastjsonschema.compile(schema)

# It must refuse an invalid line.
for wrong in ({}, {"time": "2026-11-21T01:19:00.000Z", "event": "nonsense"}):
    try:
        fits(wrong)
    except fastjsonschema.JsonSchemaValueException:
        continue
    sys.exit(f"the schema takes {wrong}")

count = 0
with open(trail, "rb") as lines:
    for line in lines:
        event = json.loads(line)
        try:
            fits(event)
        except fastjsonschema.JsonSchemaValueException as failure:
            sys.exit(f"{failure}: {event}")
        # Each field is in the schema.
        kind = schema["definitions"][event["event"]]["properties"]
        unknown = set(event) - set(kind) - {"time", "event"}
        if unknown:
            sys.exit(f"the schema does not know {unknown}: {event}")
        count += 1
if count == 0:
    sys.exit("there is nothing in it")
