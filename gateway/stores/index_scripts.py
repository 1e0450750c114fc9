"""What does the index server do by itself? Three small Lua scripts, each one atomic step in one round trip.

They know the shape of a record (a length byte first, `index_entry.py`) and nothing of what it means.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name the server caches it under."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


# mark and entries in one step: a flush in between would read as "nothing registered"
FIND = Script("return {redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], ARGV[1])}")
"""KEYS mark, bucket; ARGV field. Returns the two values, or nil."""

PUT = Script("""
local kept = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local parts, created, at = {}, 1, 1
while at <= #kept do
  local stop = at + string.byte(kept, at)
  if string.sub(kept, at + 1, at + 12) == ARGV[2] then created = 0
  else parts[#parts + 1] = string.sub(kept, at, stop) end
  at = stop + 1
end
parts[#parts + 1] = string.char(#ARGV[2] + #ARGV[3]) .. ARGV[2] .. ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], table.concat(parts))
redis.call('SADD', KEYS[2], ARGV[4])
return created
""")
"""KEYS bucket, own set; ARGV field, entry key, content, bucket number. Returns 1 when the entry is new."""

REMOVE = Script("""
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return 0 end
local parts, ended, at = {}, 0, 1
while at <= #kept do
  local stop = at + string.byte(kept, at)
  local custodian, system = string.sub(kept, at + 1, at + 4), string.sub(kept, at + 5, at + 11)
  local category = string.sub(kept, at + 12, at + 12)
  if (ARGV[2] == '' or custodian == ARGV[2]) and (ARGV[3] == '' or system == ARGV[3])
      and string.find(ARGV[4], category, 1, true) then ended = ended + 1
  else parts[#parts + 1] = string.sub(kept, at, stop) end
  at = stop + 1
end
if #parts == 0 then redis.call('HDEL', KEYS[1], ARGV[1])
elseif ended > 0 then redis.call('HSET', KEYS[1], ARGV[1], table.concat(parts)) end
return ended
""")
"""KEYS bucket; ARGV field, custodian, system (empty is any), category bytes. Returns how many entries ended."""
