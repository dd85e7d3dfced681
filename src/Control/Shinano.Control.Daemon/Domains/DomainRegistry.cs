using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Which domains there are. Hands out ids, keeps names and uuids unique, remembers how the latest ones ended.</summary>
internal sealed class DomainRegistry(ShinanoPaths paths)
{
    /// <summary>Ends of domains that are remembered for those who wait for them.</summary>
    private const int RememberedOutcomes = 256;

    private const int LastId = 0x7fef;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<int, DomainEntry> _entries = [];
    private readonly Dictionary<int, Task<DomainOutcome>> _outcomes = [];
    private readonly Queue<int> _outcomeOrder = [];

    private string NextIdFile => Path.Combine(paths.RunDirectory, "next-domain-id");

    /// <summary>In the order of their ids.</summary>
    public IReadOnlyList<DomainEntry> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _entries.Values];
            }
        }
    }

    /// <summary>Takes the next id. Ids are not used again before the host restarts.</summary>
    public int TakeId()
    {
        lock (_lock)
        {
            int next = ReadNextId();
            if (next > LastId)
            {
                // public/xen.h: DOMID_FIRST_RESERVED is 0x7ff0. As Xen's toolstack, begin again at the lowest that is free.
                next = Enumerable.Range(1, LastId).First(id => !_entries.ContainsKey(id));
            }

            // Written before use: an id is never handed out twice, even if xend dies here.
            File.WriteAllText(NextIdFile, (next + 1).ToString(CultureInfo.InvariantCulture));
            return next;
        }
    }

    /// <summary>Throws <see cref="DomainFailureException"/> when a name or uuid is taken, before anything is spent on it.</summary>
    public void DemandFree(string name, Guid? uuid)
    {
        lock (_lock)
        {
            DemandFree(name, uuid ?? Guid.NewGuid(), except: null);
        }
    }

    /// <summary>Adds an entry whose name and uuid are free. Throws <see cref="DomainFailureException"/> otherwise.</summary>
    public void Add(DomainEntry entry)
    {
        lock (_lock)
        {
            DemandFree(entry.Record.Name, entry.Record.Uuid, except: null);
            _entries.Add(entry.Id, entry);
            _outcomes[entry.Id] = entry.Outcome.Task;
            _outcomeOrder.Enqueue(entry.Id);
            while (_outcomeOrder.Count > RememberedOutcomes)
            {
                int oldest = _outcomeOrder.Dequeue();
                if (!_entries.ContainsKey(oldest))
                {
                    _outcomes.Remove(oldest);
                }
            }
        }
    }

    public void Remove(DomainEntry entry)
    {
        lock (_lock)
        {
            _entries.Remove(entry.Id);
        }
    }

    /// <summary>Gives an entry another name and uuid, if they are free.</summary>
    public void Rename(DomainEntry entry, string name, Guid uuid)
    {
        lock (_lock)
        {
            DemandFree(name, uuid, entry);
            entry.Update(record => record with { Name = name, Uuid = uuid });
        }
    }

    /// <summary>A name like the given one that nobody has: "web-1", "web-2", ...</summary>
    public string FreeNameLike(string name)
    {
        lock (_lock)
        {
            for (int i = 1; ; i++)
            {
                string candidate = string.Create(CultureInfo.InvariantCulture, $"{name}-{i}");
                if (_entries.Values.All(entry => entry.Record.Name != candidate))
                {
                    return candidate;
                }
            }
        }
    }

    /// <summary>By id, name or uuid. Throws <see cref="DomainFailureException"/> when there is none.</summary>
    public DomainEntry Find(string domain) =>
        TryFind(domain) ?? throw new DomainFailureException(
            DomainFailureCode.NoSuchDomain,
            domain is "0" or Configuration.DomainName.DomainZero ? "Domain-0 is the host itself: this cannot be done to it" : $"no domain '{domain}'");

    public DomainEntry? TryFind(string domain)
    {
        lock (_lock)
        {
            if (int.TryParse(domain, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
            {
                return _entries.GetValueOrDefault(id);
            }

            return _entries.Values.FirstOrDefault(entry => entry.Record.Name == domain)
                ?? (Guid.TryParse(domain, out Guid uuid) ? _entries.Values.FirstOrDefault(entry => entry.Record.Uuid == uuid) : null);
        }
    }

    /// <summary>The end of a domain, past or to come; null for an id that is unknown or long gone.</summary>
    public Task<DomainOutcome>? OutcomeOf(int id)
    {
        lock (_lock)
        {
            return _outcomes.GetValueOrDefault(id);
        }
    }

    private void DemandFree(string name, Guid uuid, DomainEntry? except)
    {
        foreach (DomainEntry other in _entries.Values)
        {
            if (other == except)
            {
                continue;
            }

            if (other.Record.Name == name)
            {
                throw new DomainFailureException(
                    DomainFailureCode.Duplicate, $"a domain named '{name}' exists already (id {other.Id}): choose another name, or destroy it");
            }

            if (other.Record.Uuid == uuid)
            {
                throw new DomainFailureException(
                    DomainFailureCode.Duplicate, $"domain '{other.Record.Name}' (id {other.Id}) has the uuid {uuid:D} already");
            }
        }
    }

    private int ReadNextId()
    {
        int highest = Math.Max(
            _entries.Count == 0 ? 0 : _entries.Keys.Max(),
            DomainDirectory.Existing(paths).DefaultIfEmpty(0).Max());
        try
        {
            return int.TryParse(File.ReadAllText(NextIdFile), NumberStyles.None, CultureInfo.InvariantCulture, out int next)
                ? Math.Max(next, highest + 1)
                : highest + 1;
        }
        catch (FileNotFoundException)
        {
            return highest + 1;
        }
    }
}
