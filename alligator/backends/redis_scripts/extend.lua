-- Start leases anew.
-- ARGV[3] duration of a lease in µs; then two a lease: id, token.
-- Returns a string with 1 or 0 for each: did it hold.

local ids, answers = {}, {}
for at = 4, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
end
for index, value in ipairs(fetch(P .. 'leases', ids)) do
  local lease = read_lease(value)
  local holds = lease.token == ARGV[2 * index + 3]
  answers[index] = holds and '1' or '0'
  if holds then
    -- XX changes a score and adds no member, so it works at maxmemory as well as a removal would;
    -- ZADD is still refused there as a first write, hence the removal of nothing before it.
    redis.call('HDEL', P .. 'leases', '')
    redis.call('ZADD', key('running', lease.queue), 'XX', now + ARGV[3], ids[index])
  end
end
return table.concat(answers)
