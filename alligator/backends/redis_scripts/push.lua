-- Queue tasks, all or none.
-- ARGV[3] queue; then three a task: id, body, and "" or a JSON object of what is not plain about it:
-- priority, due, depends_on, unique.
-- Returns {index, id of the holder, ...} of the tasks that were not queued, counted from 1.

local queue = ARGV[3]

local function unfinished(depends_on, batch)
  local found = {}
  for _, id in ipairs(depends_on) do
    if batch[id] or redis.call('HEXISTS', P .. 'tasks', id) == 1 then
      found[#found + 1] = id
    end
  end
  return found
end

-- Decide on every task before the first write. `terms` holds false for a plain task; tables are
-- made only for the others, since this loop is what a large push costs.
local function plan()
  local ids, bodies, terms, refused, given = {}, {}, {}, {}, {}
  local batch, keys = {}, {}
  for at = 4, #ARGV, 3 do
    given[#given + 1] = ARGV[at]
  end
  for index, held in ipairs(fetch(P .. 'tasks', given)) do
    local id, at = given[index], 3 * index + 1
    local term = ARGV[at + 2] ~= '' and cjson.decode(ARGV[at + 2])
    local holder = (held or batch[id]) and id
    if term and term.unique and not holder then
      holder = keys[term.unique] or redis.call('HGET', P .. 'unique', term.unique)
    end
    if holder then
      refused[#refused + 1] = index
      refused[#refused + 1] = holder
    else
      local last = #ids + 1
      ids[last], bodies[last], terms[last] = id, ARGV[at + 1], term
      if term then
        term.depends_on = term.depends_on and unfinished(term.depends_on, batch) or {}
        if term.unique then
          keys[term.unique] = id
        end
      end
      batch[id] = true
    end
  end
  return ids, bodies, terms, refused
end

local function block(id, depends_on, due, seq)
  redis.call('ZADD', key('blocked', queue), seq, id)
  redis.call('HSET', P .. 'held-until', id, due or 0)
  each_chunk('SADD', P .. 'depends:' .. id, depends_on)
  for _, other in ipairs(depends_on) do
    redis.call('SADD', P .. 'waiting-on:' .. other, id)
  end
end

-- Put a task that is not plain where it belongs; true when that is among those that wait.
local function place(id, term, seq)
  if term.unique then
    redis.call('HSET', P .. 'unique', term.unique, id)
    redis.call('HSET', P .. 'unique-of', id, term.unique)
  end
  if #term.depends_on > 0 then
    block(id, term.depends_on, term.due, seq)
  elseif term.due and term.due > now then
    hold('delayed', queue, id, term.due)
  else
    return true
  end
end

return once(function()
  local ids, bodies, terms, refused = plan()
  if #ids == 0 then
    return refused, false
  end
  -- The one write that a server at maxmemory refuses, before anything is changed.
  local seq = redis.call('INCRBY', P .. 'seq', #ids) - #ids
  local values, ready, pushed = {}, {}, math.floor(now / 1000)
  for index, id in ipairs(ids) do
    seq = seq + 1
    local term = terms[index]
    local priority = term and term.priority or 0
    values[2 * index - 1] = id
    values[2 * index] = struct.pack(HEADER, seq, pushed, priority, 0, 0, queue) .. bodies[index]
    if not term or place(id, term, seq) then
      ready[#ready + 1] = order(priority, seq)
      ready[#ready + 1] = id
    end
  end
  each_chunk('HSET', P .. 'tasks', values)
  each_chunk('ZADD', key('waiting', queue), ready)
  redis.call('SADD', P .. 'queues', queue)
  if #ready > 0 then
    wake(queue)
  end
  return refused, true
end)
