-- One beat of a replica, in one piece: that it lives, what it wants and what it lends; and back comes who
-- lives, what the others want, and what was lent to it, which is handed out once.
--
-- KEYS: the members; what is wanted; what is lent to this one; for each loan, what is lent to its borrower
-- ARGV: this one's name, its process, what it wants (or nothing), how long a member counts as alive and
--       a loan is kept, in milliseconds, what people may want to know of it; for each loan, when it ends
--       and what it is
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local name, process, wants = ARGV[1], ARGV[2], ARGV[3]
local alive, kept = tonumber(ARGV[4]), tonumber(ARGV[5])

redis.call('HSET', KEYS[1], name, now .. ' ' .. process .. ' ' .. ARGV[6])
if wants == '' then
  redis.call('HDEL', KEYS[2], name)
else
  redis.call('HSET', KEYS[2], name, wants)
end

-- A loan that comes late is none: the borrower could not spend it in time.
local taken = {}
for at = 7, #ARGV, 2 do
  local borrower = KEYS[3 + (at - 5) / 2]
  if tonumber(ARGV[at]) > now then
    redis.call('RPUSH', borrower, ARGV[at + 1])
    redis.call('PEXPIRE', borrower, kept)
    taken[#taken + 1] = 1
  else
    taken[#taken + 1] = 0
  end
end

-- A process may have several connections, of which the last one counts.
local replicas, seen, present, others = 0, {}, {}, {}
local members = redis.call('HGETALL', KEYS[1])
for at = 1, #members, 2 do
  local member = members[at]
  local last, of, about = string.match(members[at + 1], '^(%d+) (%S+) ?(.*)$')
  if last and math.abs(now - tonumber(last)) <= alive then
    local place = seen[of]
    if not place then
      place = #present
      seen[of] = place
      replicas = replicas + 1
    end
    if not present[place + 1] or tonumber(last) > tonumber(present[place + 2]) then
      present[place + 1], present[place + 2], present[place + 3] = of, last, about
    end
    local wanted = member ~= name and redis.call('HGET', KEYS[2], member)
    if wanted then
      others[#others + 1] = member
      others[#others + 1] = wanted
    end
  else
    redis.call('HDEL', KEYS[1], member)
    redis.call('HDEL', KEYS[2], member)
  end
end
redis.call('PEXPIRE', KEYS[1], kept)
redis.call('PEXPIRE', KEYS[2], kept)

local lent = redis.call('LRANGE', KEYS[3], 0, -1)
redis.call('DEL', KEYS[3])
return { now, replicas, present, others, lent, taken }
