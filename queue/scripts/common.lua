-- What all of weft's scripts share; it is put in front of each of them.

local call = redis.call
local GROUP = 'weft'

-- Lua hands a command at most some 8,000 arguments. A message with more fields is refused anyway, so all that matters
-- is that nothing of it is lost: what does not fit is kept in one field.
local PAIRS_MAX = 3910
local PAIRS_KEPT = 3900

local function shorten(fields)
    if #fields <= 2 * PAIRS_MAX then
        return fields
    end
    local kept, rest = {}, {}
    for i = 1, 2 * PAIRS_KEPT do
        kept[i] = fields[i]
    end
    for i = 2 * PAIRS_KEPT + 1, #fields do
        rest[#rest + 1] = fields[i]
    end
    kept[#kept + 1] = 'weft.more'
    kept[#kept + 1] = cmsgpack.pack(rest)
    return kept
end

-- A copy of the fields without those whose names are in `dropped`.
local function without(fields, dropped)
    local kept, n = {}, 0
    for i = 1, #fields, 2 do
        if not dropped[fields[i]] then
            kept[n + 1], kept[n + 2] = fields[i], fields[i + 1]
            n = n + 2
        end
    end
    return kept
end

local function append(fields, name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end

-- The fields of an entry, or nil if somebody has deleted it.
local function read_entry(stream, entry)
    local found = call('XRANGE', stream, entry, entry)
    return found[1] and found[1][2]
end
