-- Tasks that are held: reading them, and their moves between states. See prelude.lua.

-- Of the server that this runs on; a new one at each of its starts. False where it is not told.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)')
end

local function pack_task(task)
  return struct.pack(HEADER, task.seq, task.pushed, task.priority, task.attempts, task.deliveries,
    task.queue) .. task.body
end

-- Do `act` with every `step`th argument from `first` on, and where it stands. Return the list of its
-- replies, and whether any of them changed something.
local function each_argument(first, step, act)
  local replies, changed = {}, false
  for at = first, #ARGV, step do
    local reply, did = act(ARGV[at], at)
    replies[#replies + 1] = reply
    changed = changed or did
  end
  return replies, changed
end

-- A task from its value; never an error, since one bad value must not keep a script from the others.
-- A value without a header that we could have written is all body, which then fails as one.
-- `queue`: the one the task was found in. It counts, not the header's: that is there to find the
-- queue by when an id is all that is known, and is nil where there is no header.
local function unpack_task(value, queue)
  local task, body = {seq = 0, pushed = math.floor(now / 1000), priority = 0}, 1
  task.attempts, task.deliveries = 0, 0
  if value and #value > 20 and string.find(value, '\0', 21, true) then
    task.seq, task.pushed, task.priority, task.attempts, task.deliveries, task.queue, body =
      struct.unpack(HEADER, value)
  end
  task.queue = queue or task.queue
  task.body = string.sub(value or '', body)
  return task
end

-- What another program wrote in place of a number must not end a script between two of its writes: a
-- task would be in no state. So the task keeps its place then, and the total begins anew.
local function next_seq(task)
  local seq = redis.pcall('INCR', P .. 'seq')
  return type(seq) == 'number' and seq or task.seq
end

local function add_to_total(name, queue, number)
  if type(redis.pcall('HINCRBY', P .. name, queue, number)) ~= 'number' then
    redis.pcall('HSET', P .. name, queue, number)
  end
end

local function make_ready(id, task)
  redis.call('ZADD', key('waiting', task.queue), order(task.priority, task.seq), id)
  wake(task.queue)
end

-- Make ids ready that were just taken out of another state, at the place their sequence gives them.
-- `charge`: count the delivery that was under way.
local function put_back(queue, ids, charge)
  local scores, rewritten = {}, {}
  for at, value in ipairs(fetch(P .. 'tasks', ids)) do
    if value then
      local task = unpack_task(value, queue)
      scores[#scores + 1] = order(task.priority, task.seq)
      scores[#scores + 1] = ids[at]
      if charge then
        task.deliveries = task.deliveries + 1
        rewritten[#rewritten + 1] = ids[at]
        rewritten[#rewritten + 1] = pack_task(task)
      end
    end
  end
  each_chunk('ZADD', key('waiting', queue), scores)
  each_chunk('HSET', P .. 'tasks', rewritten)
  if #scores > 0 then
    wake(queue)
  end
end

-- Make ready what is due and what a worker lost, at most CHUNK of each kind a call, so that no call
-- takes long; the next call goes on.
local function promote(queue)
  for _, state in ipairs({'delayed', 'retrying', 'running'}) do
    local name = key(state, queue)
    local ids = redis.call('ZRANGEBYSCORE', name, '-inf', now, 'LIMIT', 0, CHUNK)
    if #ids > 0 then
      redis.call('ZREM', name, unpack(ids))
      if state == 'running' then
        redis.call('HDEL', P .. 'leases', unpack(ids))
      end
      put_back(queue, ids, state == 'running')
    end
  end
end

-- A value of `leases` as a table; an empty one for false. Tasks reserved in one call share one value,
-- so each is read once.
local known_leases = {[false] = {}}

local function read_lease(value)
  local found = known_leases[value]
  if not found then
    found = {}
    found.token, found.queue, found.worker = string.match(value, '^(.-)\n(.-)\n(.*)$')
    known_leases[value] = found
  end
  return found
end

-- Which of these tasks are leased under a token: what a repeated call still has of what it leased. The
-- others, whose leases are over, are false.
local function fetch_leased(ids, token)
  local values = fetch(P .. 'tasks', ids)
  for at, value in ipairs(fetch(P .. 'leases', ids)) do
    values[at] = read_lease(value).token == token and values[at]
  end
  return values
end

-- Make ready what calls of this client leased to nobody, as their answers never came. It is at the place
-- that it had, and uncharged, so this comes before anything is promoted.
-- `lost`: JSON with the tokens of the leases, and the queues and ids that were asked for; or ''.
-- Return whether there was such a call. Then this one has to be kept by once(), even if it changes
-- nothing: a late copy of the other, whose number is smaller, would still lease.
local function take_back(lost)
  if lost == '' then
    return false
  end
  lost = cjson.decode(lost)
  local tokens, queues = {}, {}
  for _, lost_token in ipairs(lost.tokens) do
    tokens[lost_token] = true
  end
  for _, queue in ipairs(lost.queues) do
    queues[queue] = true
  end
  for _, value in ipairs(fetch(P .. 'leases', lost.ids)) do
    local found = read_lease(value)
    if tokens[found.token or ''] then
      queues[found.queue] = true
    end
  end
  -- A write that needs no memory, as there may be none for what once() will write.
  redis.call('PEXPIRE', P .. 'client:' .. ARGV[1], 300000)
  for queue in pairs(queues) do
    local running, ids = redis.call('ZRANGE', key('running', queue), 0, -1), {}
    for at, value in ipairs(fetch(P .. 'leases', running)) do
      if tokens[read_lease(value).token or ''] then
        ids[#ids + 1] = running[at]
      end
    end
    each_chunk('ZREM', key('running', queue), ids)
    each_chunk('HDEL', P .. 'leases', ids)
    put_back(queue, ids, false)
  end
  return true
end

-- Queues that this script has promoted in already.
local promoted = {}

-- The task of an id in one queue, its state and its score there; nil when it is not there.
local function locate_in(queue, id)
  if not promoted[queue] then
    promoted[queue] = true
    promote(queue)
  end
  for _, state in ipairs(STATES) do
    local score = redis.call('ZSCORE', key(state, queue), id)
    if score then
      return unpack_task(redis.call('HGET', P .. 'tasks', id), queue), state, tonumber(score)
    end
  end
end

-- The task of an id, its state and its score there; nil when there is none.
local function locate(id)
  local value = redis.call('HGET', P .. 'tasks', id)
  if not value then
    return nil
  end
  local said = unpack_task(value).queue
  local task, state, score
  if said then
    task, state, score = locate_in(said, id)
  end
  if not task then
    -- Somebody else wrote its header, or moved it.
    for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
      task, state, score = locate_in(queue, id)
      if task then
        break
      end
    end
  end
  return task, state, score
end

local function worker_of(id)
  return read_lease(redis.call('HGET', P .. 'leases', id)).worker
end

-- A task stops waiting for others.
local function forget_dependencies(id)
  for _, other in ipairs(redis.call('SMEMBERS', P .. 'depends:' .. id)) do
    redis.call('SREM', P .. 'waiting-on:' .. other, id)
  end
  redis.call('DEL', P .. 'depends:' .. id)
  redis.call('HDEL', P .. 'held-until', id)
end

-- A task has succeeded: those that waited for nothing else may run.
local function free_dependents(id)
  local dependents = redis.call('SMEMBERS', P .. 'waiting-on:' .. id)
  redis.call('DEL', P .. 'waiting-on:' .. id)
  for _, other in ipairs(dependents) do
    redis.call('SREM', P .. 'depends:' .. other, id)
    if redis.call('EXISTS', P .. 'depends:' .. other) == 0 then
      local due = tonumber(redis.call('HGET', P .. 'held-until', other) or 0) or 0
      local task, state = locate(other)
      redis.call('HDEL', P .. 'held-until', other)
      if state == 'blocked' then
        redis.call('ZREM', key('blocked', task.queue), other)
        if due > now then
          hold('delayed', task.queue, other, due)
        else
          make_ready(other, task)
        end
      end
    end
  end
end

-- Tasks that have failed or are gone let others have their unique key: one that is held, or the next push.
local function free_unique(ids)
  for at, name in ipairs(fetch(P .. 'unique-of', ids)) do
    if name and redis.call('HGET', P .. 'unique', name) ~= ids[at] then
      redis.call('SREM', P .. 'unique-too:' .. name, ids[at])
    elseif name then
      redis.call('HDEL', P .. 'unique', name)
      local heir = redis.call('SPOP', P .. 'unique-too:' .. name)
      if heir then
        redis.call('HSET', P .. 'unique', name, heir)
      end
    end
  end
end

-- A failed task that is to run once more takes its unique key again; when another has it by now, it is next.
local function retake_unique(id)
  local name = redis.call('HGET', P .. 'unique-of', id)
  if name and redis.call('HSETNX', P .. 'unique', name, id) == 0 then
    redis.call('SADD', P .. 'unique-too:' .. name, id)
  end
end

-- Forget tasks that are out of their state's sorted set already.
local function forget(ids)
  each_chunk('HDEL', P .. 'tasks', ids)
  if redis.call('EXISTS', P .. 'failures', P .. 'unique-of') > 0 then
    each_chunk('HDEL', P .. 'failures', ids)
    free_unique(ids)
    each_chunk('HDEL', P .. 'unique-of', ids)
  end
end

local function tell_done(id)
  redis.call('PUBLISH', P .. 'done:' .. id, '1')
end

-- One more line in a task's failures; only the newest 10 stay (MAX_FAILURES).
local function add_failure(id, line)
  local lines = {}
  for old in string.gmatch(redis.call('HGET', P .. 'failures', id) or '', '[^\n]+') do
    lines[#lines + 1] = old
  end
  lines[#lines + 1] = line
  redis.call('HSET', P .. 'failures', id, table.concat(lines, '\n', math.max(1, #lines - 9)))
end

-- Lease ids, all of one queue and in no state now.
local function lease(queue, ids, token, worker, duration)
  local ends, leases = {}, {}
  local value = token .. '\n' .. queue .. '\n' .. worker
  local until_then = string.format('%.0f', now + duration)
  for _, id in ipairs(ids) do
    ends[#ends + 1] = until_then
    ends[#ends + 1] = id
    leases[#leases + 1] = id
    leases[#leases + 1] = value
  end
  each_chunk('ZADD', key('running', queue), ends)
  each_chunk('HSET', P .. 'leases', leases)
end

-- What is shown of one task: id, state, score, header and body, lease, failures, unique key, due time
-- of a blocked task, and the ids it waits for. Missing things are false.
local function row(id, value, state, score)
  local blocked = state == 'blocked'
  return {
    id, state, string.format('%.0f', score), value,
    state == 'running' and redis.call('HGET', P .. 'leases', id),
    redis.call('HGET', P .. 'failures', id),
    redis.call('HGET', P .. 'unique-of', id),
    blocked and redis.call('HGET', P .. 'held-until', id),
    blocked and redis.call('SMEMBERS', P .. 'depends:' .. id) or {},
  }
end

