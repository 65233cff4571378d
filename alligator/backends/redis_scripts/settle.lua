-- End leases, then reserve.
-- ARGV[3] duration of a lease in µs, [4] token, [5] worker, [6] what calls before it may have leased to nobody
-- (take_back() of moves.lua), [7] how many to reserve, [8] µs for which a worker has to be gone (bury() below) or "",
-- [9] number of queues, then the queues, then the outcomes in groups: kind, token of the leases, how many, and for each its id and what its kind needs:
--   ack              done
--   keep             done, with a result: time to live in ms, result
--   retry            again: delay in µs, body, failure
--   fail             for good: failure, attempts and deliveries to count
--   release, charge  handed back unstarted, or after its worker died
--   defer            handed back, to run later: delay in µs
-- Returns {a string with 1 or 0 for each outcome: did its lease hold, how many were reserved from each
-- queue, their ids, their tasks; false for one whose lease is over, when the call was repeated}.

local duration, token, worker, limit = tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[7])
local first_outcome = 10 + ARGV[9]
local EXTRAS = {ack = 0, keep = 2, retry = 3, fail = 3, release = 0, charge = 0, defer = 1}

-- Of each outcome its id, kind and token, and where its id stands in ARGV.
local function read_outcomes()
  local ids, kinds, tokens, places, at = {}, {}, {}, {}, first_outcome
  while at <= #ARGV do
    local kind, held, step = ARGV[at], ARGV[at + 1], 1 + EXTRAS[ARGV[at]]
    local next_group = at + 3 + ARGV[at + 2] * step
    for place = at + 3, next_group - 1, step do
      local index = #ids + 1
      ids[index], kinds[index], tokens[index], places[index] = ARGV[place], kind, held, place
    end
    at = next_group
  end
  return ids, kinds, tokens, places
end

-- Which outcomes count, and the queue of each. Their leases end here, and what they add to the totals is
-- noted.
local function accept(ids, kinds, tokens)
  local answers, accepted, queues, by_queue, done = {}, {}, {}, {}, {}
  local acked, failed = {}, {}
  for index, value in ipairs(fetch(P .. 'leases', ids)) do
    local id, kind, lease = ids[index], kinds[index], read_lease(value)
    local holds = lease.token == tokens[index] and not done[id]
    answers[index] = holds and '1' or '0'
    if holds then
      done[id] = true
      accepted[#accepted + 1] = index
      queues[index] = lease.queue
      local running = by_queue[lease.queue]
      if running then
        running[#running + 1] = id
      else
        by_queue[lease.queue] = {id}
      end
      if kind == 'ack' or kind == 'keep' then
        acked[lease.queue] = (acked[lease.queue] or 0) + 1
      elseif kind == 'fail' then
        failed[lease.queue] = (failed[lease.queue] or 0) + 1
      end
    end
  end
  for queue, running in pairs(by_queue) do
    each_chunk('HDEL', P .. 'leases', running)
    each_chunk('ZREM', key('running', queue), running)
  end
  for queue, number in pairs(acked) do
    add_to_total('done-total', queue, number)
  end
  for queue, number in pairs(failed) do
    add_to_total('failed-total', queue, number)
  end
  return table.concat(answers), accepted, queues
end

local function succeed(ids)
  if #ids == 0 then
    return
  end
  forget(ids)
  if redis.call('EXISTS', P .. 'held-until') == 1 then
    for _, id in ipairs(ids) do
      free_dependents(id)
    end
  end
end

local function read(id, queue)
  return unpack_task(redis.call('HGET', P .. 'tasks', id), queue)
end

local function rewrite(id, queue, change)
  local task = read(id, queue)
  task.deliveries = task.deliveries + 1
  change(task)
  redis.call('HSET', P .. 'tasks', id, pack_task(task))
  return task
end

local function retry(id, queue, delay, body, failure)
  local task = rewrite(id, queue, function(task)
    task.attempts = task.attempts + 1
    task.body = body
    task.seq = next_seq(task)
  end)
  add_failure(id, failure)
  if delay > 0 then
    hold('retrying', queue, id, now + delay)
  else
    make_ready(id, task)
  end
end

local function defer(id, queue, delay)
  if delay > 0 then
    hold('delayed', queue, id, now + delay)
  else
    make_ready(id, read(id, queue))
  end
end

local function fail(id, queue, failure, attempts, deliveries)
  rewrite(id, queue, function(task)
    task.attempts = task.attempts + attempts
    task.deliveries = task.deliveries - 1 + deliveries
  end)
  add_failure(id, failure)
  free_unique({id})
  redis.call('ZADD', key('failed', queue), now, id)
  tell_done(id)
end

local function keep_result(id, result, ttl)
  redis.call('SET', P .. 'result:' .. id, result, 'PX', ttl)
  if redis.call('PTTL', P .. 'results') < ttl then
    redis.call('SET', P .. 'results', 1, 'PX', ttl)
  end
end

local function apply(accepted, queues, ids, kinds, places)
  local succeeded, kept = {}, {}
  for _, index in ipairs(accepted) do
    local kind, id, queue, at = kinds[index], ids[index], queues[index], places[index]
    if kind == 'ack' then
      succeeded[#succeeded + 1] = id
    elseif kind == 'keep' then
      succeeded[#succeeded + 1] = id
      kept[#kept + 1] = id
      keep_result(id, ARGV[at + 2], tonumber(ARGV[at + 1]))
    elseif kind == 'retry' then
      retry(id, queue, tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3])
    elseif kind == 'fail' then
      fail(id, queue, ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
    elseif kind == 'defer' then
      defer(id, queue, tonumber(ARGV[at + 1]))
    elseif kind == 'charge' then
      make_ready(id, rewrite(id, queue, function() end))
    else
      make_ready(id, read(id, queue))
    end
  end
  succeed(succeeded)
  for _, id in ipairs(kept) do
    tell_done(id)
  end
end

-- Bytes of tasks in one answer, unless a single one is larger. Many large ones would keep the server from
-- all others for seconds, and take its memory, and ours.
local ENOUGH = 8000000
local room = ENOUGH

-- Lease up to `wanted` tasks and add them to `ids` and `values`; members without a task are nobody's.
-- Those that there is no room for stay, and nothing of the queues after this one overtakes them.
local function take(queue, wanted, ids, values)
  promote(queue)
  -- Nobody knows how large the tasks are before they are fetched: few at first, then more each time.
  local found, waiting, seen, step, left = {}, key('waiting', queue), 0, 8, room
  repeat
    -- Not ZPOPMIN: to write all the scores takes as long as the rest of it.
    local fresh = redis.call('ZRANGE', waiting, seen, seen + math.min(step, wanted - #found) - 1)
    for at, value in ipairs(fetch(P .. 'tasks', fresh)) do
      if value then
        left = left - #value
        if left < 0 and #ids > 0 then
          break
        end
        found[#found + 1] = fresh[at]
        ids[#ids + 1] = fresh[at]
        values[#values + 1] = value
      end
      seen = seen + 1
    end
    step = step * 4
  until #fresh == 0 or #found == wanted or left <= 0
  room = left
  if seen > 0 then
    redis.call('ZREMRANGEBYRANK', waiting, 0, seen - 1)
  end
  lease(queue, found, token, worker, duration)
  return #found
end

-- Of `lines`, clients and the servers that they hold theirs on, the clients that are gone for so long. A
-- server that was started anew, or took over from another, knows of none until it has heard of it.
local function gone(lines, microseconds)
  local here = run_id()
  local clients, channels, elsewhere, dead = {}, {}, {}, {}
  for at = 1, here and #lines or 0, 2 do
    if lines[at + 1] == here then
      clients[#clients + 1] = lines[at]
      channels[#channels + 1] = P .. 'line:' .. lines[at]
    else
      elsewhere[#elsewhere + 1] = lines[at]
    end
  end
  -- The removal first: see the note on maxmemory.
  redis.call('HDEL', P .. 'cut', '')
  each_chunk('HDEL', P .. 'lines', elsewhere)
  each_chunk('HDEL', P .. 'cut', elsewhere)
  for from = 1, #clients, CHUNK do
    local upto = math.min(from + CHUNK - 1, #clients)
    local held = redis.pcall('PUBSUB', 'NUMSUB', unpack(channels, from, upto))
    for at = from, held.err and 0 or upto do
      local client = clients[at]
      local since = tonumber(redis.call('HGET', P .. 'cut', client))
      if held[2 * (at - from + 1)] > 0 then
        if since then
          redis.call('HDEL', P .. 'cut', client)
        end
      elseif not since then
        redis.call('HSET', P .. 'cut', client, string.format('%.0f', now))
      elseif now - since >= microseconds then
        dead[client] = true
        redis.call('HDEL', P .. 'lines', client)
        redis.call('HDEL', P .. 'cut', client)
      end
    end
  end
  return dead
end

-- Where many look, this lets some of them do so, that many in one round of all, until one finds something.
local LOOKERS = 100

-- End the leases of workers that are gone; a token begins with the id of its client.
local function bury(microseconds)
  local number = redis.call('HLEN', P .. 'lines')
  if number > LOOKERS and now % number >= LOOKERS and redis.call('EXISTS', P .. 'cut') == 0 then
    return
  end
  local lines = redis.call('HGETALL', P .. 'lines')
  if number == 0 or (number == 1 and lines[1] == ARGV[1]) then
    return
  end
  local dead = gone(lines, microseconds)
  if not next(dead) then
    return
  end
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
    local running, ends = redis.call('ZRANGE', key('running', queue), 0, -1), {}
    for at, value in ipairs(fetch(P .. 'leases', running)) do
      if dead[string.sub(read_lease(value).token or '', 1, #ARGV[1])] then
        ends[#ends + 1] = string.format('%.0f', now)
        ends[#ends + 1] = running[at]
      end
    end
    if #ends > 0 then
      each_chunk('ZADD', key('running', queue), ends)
      wake(queue)
    end
  end
end

local function reserve()
  local ids, values, numbers = {}, {}, {}
  if limit == 0 then
    return numbers, ids, values
  end
  for at = 10, first_outcome - 1 do
    local queue, taken = ARGV[at], 0
    if not is_paused(queue) then
      if #ids < limit and room > 0 then
        taken = take(queue, limit - #ids, ids, values)
      end
      -- This worker may have been woken for what it leaves: wake the next one.
      if redis.call('EXISTS', key('waiting', queue)) == 1 then
        wake(queue)
      end
    end
    numbers[#numbers + 1] = taken
  end
  return numbers, ids, values
end

-- Not part of the reply that is kept for a repeated call: bodies are large.
local values
local done = once(function()
  local took_back = take_back(ARGV[6])
  local ids, kinds, tokens, places = read_outcomes()
  local answers, accepted, queues = accept(ids, kinds, tokens)
  apply(accepted, queues, ids, kinds, places)
  if ARGV[8] ~= '' then
    bury(tonumber(ARGV[8]))
  end
  local numbers, reserved
  numbers, reserved, values = reserve()
  return {answers, numbers, reserved}, took_back or #accepted > 0 or #reserved > 0
end)
return {done[1], done[2], done[3], values or fetch_leased(done[3], token)}
