-- What every script shares: the keys, the header of a task, its place in line, waking who waits.
-- It is put before each script's own text and sent with it; between the two comes moves.lua, where a
-- script changes or shows what is held already. What stands here is what a push needs: Lua makes each
-- function anew at each call.
--
-- KEYS[1] (P) is "{prefix}:" and every key begins with it. The braces are a Redis Cluster hash tag:
-- one namespace lives on one shard, so a script may touch several queues and find a task by its id.
--
--   P tasks               hash    id -> header .. body
--   P STATE:QUEUE         zset    ids; STATE is waiting (score: order), delayed and retrying (due),
--                                 running (end of lease), failed (time), blocked (sequence)
--   P leases              hash    id -> token \n queue \n worker, while it is running
--   P failures            hash    id -> one JSON array a line, oldest first
--   P unique              hash    unique key -> id of the task that holds it
--   P unique-of           hash    id -> its unique key
--   P unique-too:KEY      set     ids that have it too and have not failed: they failed and were mended
--                                 while another one held it
--   P held-until          hash    id of a blocked task -> due time, or 0
--   P depends:ID          set     ids that ID waits for
--   P waiting-on:ID       set     ids that wait for ID
--   P queues              set     names of queues that may hold a task
--   P seq                 string  the last sequence number given out
--   P wake:QUEUE          zset    one member while sleepers should look at the queue: a hint only,
--                                 and never there while the queue is paused
--   P paused              set     names of queues that nothing is reserved from
--   P done-total          hash    queue -> tasks acked since its first push
--   P failed-total        hash    queue -> tasks that failed for good since then
--   P workers             hash    name of a worker -> what it said last, as roster.dump_worker writes it
--   P beats               zset    names of workers, by the time at which they said it
--   P lines               hash    client -> run id of the server on which it holds a line
--   P cut                 hash    client -> when its line was first seen to be gone
--   P line:CLIENT         channel that the client listens to, for as long as it lives
--   P client:ID           string  number \n reply of the last call of that client that changed a key
--   P result:ID           string  the result of a task, with an expiry
--   P results             string  there for as long as any of them may be
--   P done:ID             channel told when a task has ended
--
-- Times are microseconds since 1970 by the server's clock; a score holds them exactly until 2255.
-- ARGV[1] and ARGV[2] are the client's id and the number of its call; a script's own arguments start
-- at ARGV[3].
--
-- Lua does not roll back, and a server at maxmemory refuses only the first write of a script: those
-- that must work then (all but push) write first by removing something.

local P = KEYS[1]
local STATES = {'waiting', 'delayed', 'retrying', 'running', 'blocked', 'failed'}
-- unpack() may put about 8,000 values on the stack.
local CHUNK = 1000

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function key(state, queue)
  return P .. state .. ':' .. queue
end

-- Call a command for a list of any length, in pieces that fit on the stack; CHUNK is even, so pairs
-- stay together.
local function each_chunk(command, name, list)
  for from = 1, #list, CHUNK do
    redis.call(command, name, unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

-- HMGET for a list of any length; a missing field is false.
local function fetch(name, ids)
  if #ids > 0 and #ids <= CHUNK then
    return redis.call('HMGET', name, unpack(ids))
  end
  local values = {}
  for from = 1, #ids, CHUNK do
    local upto = math.min(from + CHUNK - 1, #ids)
    for _, value in ipairs(redis.call('HMGET', name, unpack(ids, from, upto))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- Do `act` unless this very call was done before and its reply got lost on the way: then repeat the
-- reply. `act` returns its reply and whether it changed anything. A client sends one call at a time,
-- so the last one is all there is to remember; a smaller number is a late copy nobody listens to.
local function once(act)
  local name = P .. 'client:' .. ARGV[1]
  local saved = redis.call('GET', name)
  if saved then
    local number, reply = string.match(saved, '^(%d+)\n(.*)$')
    if tonumber(ARGV[2]) <= tonumber(number) then
      -- A write, so that a WAIT behind it waits for the replicas to have what the first copy did.
      redis.call('PEXPIRE', name, 300000)
      return cmsgpack.unpack(reply)
    end
  end
  local reply, changed = act()
  if changed then
    redis.call('SET', name, ARGV[2] .. '\n' .. cmsgpack.pack(reply), 'PX', 300000)
  end
  return reply
end

-- Header: sequence, time of push in ms, priority, attempts, finished deliveries, queue, NUL. Binary, since
-- the memory of a million waiting tasks is mostly headers, ids and bodies. A running task's current
-- delivery is not counted in it, so that reserve need not rewrite the body.
local HEADER = '<I6I6hI3I3s'

-- Higher priority first, then first in, first out. Below 2^53, so a score holds it exactly.
local function order(priority, seq)
  return (1000 - priority) * 4398046511104 + seq
end

local paused = {}

local function is_paused(queue)
  if paused[queue] == nil then
    paused[queue] = redis.call('SISMEMBER', P .. 'paused', queue) == 1
  end
  return paused[queue]
end

local function wake(queue)
  if not is_paused(queue) then
    redis.call('ZADD', P .. 'wake:' .. queue, 0, '1')
  end
end

-- Keep a task in `state` until `due`. Sleepers reckon with the first due time, so a new first one
-- has to wake one of them.
local function hold(state, queue, id, due)
  local name = key(state, queue)
  redis.call('ZADD', name, due, id)
  if redis.call('ZRANGE', name, 0, 0)[1] == id then
    wake(queue)
  end
end

