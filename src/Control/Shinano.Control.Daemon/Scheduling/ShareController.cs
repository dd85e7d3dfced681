namespace Shinano.Control.Daemon.Scheduling;

/// <summary>
/// Finds limits under which domains that want the same CPUs use them in proportion to their weights, from what each ran and waited. Pure arithmetic without a
/// clock. See docs/design/scheduling.md.
/// </summary>
internal sealed class ShareController
{
    /// <summary>A part too small to act for: a domain is limited once it is further ahead of its share.</summary>
    private const double Noticeable = 0.03;

    /// <summary>Part of what stays idle that limits go up by in a round, and part of that which they keep in a round without.</summary>
    private const double ExtraOfIdle = 0.3;
    private const double ExtraKept = 0.8;

    private readonly Dictionary<int, ShareAccount> _accounts = [];
    private readonly Dictionary<int, SmoothedRate> _idle = [];

    /// <summary>Takes an interval's loads of all domains and gives their limits, in host CPUs; null is no limit.</summary>
    /// <param name="loads">One of each domain; those that are not among them are forgotten.</param>
    /// <param name="idle">Nanoseconds that each host CPU which domains may use was idle, by its number.</param>
    /// <param name="interval">Its length, nanoseconds, above 0.</param>
    public IReadOnlyDictionary<int, double?> Step(IReadOnlyCollection<DomainLoad> loads, IReadOnlyDictionary<int, long> idle, long interval)
    {
        foreach ((int cpu, long time) in idle)
        {
            _idle[cpu] = _idle.GetValueOrDefault(cpu).After(time, interval);
        }

        foreach (int gone in _accounts.Keys.Except(loads.Select(load => load.Id)).ToArray())
        {
            _accounts.Remove(gone);
        }

        foreach (DomainLoad load in loads)
        {
            if (!_accounts.TryGetValue(load.Id, out ShareAccount? account))
            {
                _accounts[load.Id] = account = new ShareAccount { Id = load.Id };
            }

            account.Take(load, interval);
        }

        foreach (List<ShareAccount> group in Groups())
        {
            Balance(group);
        }

        return _accounts.ToDictionary(entry => entry.Key, entry => entry.Value.Limit);
    }

    /// <summary>What each is to get of a supply: in proportion to the weights, but none more than it demands, which leaves more to the others.</summary>
    internal static double[] Divide(double supply, IReadOnlyList<(double Weight, double Demand)> claims)
    {
        double[] shares = new double[claims.Count];
        List<int> open = [.. Enumerable.Range(0, claims.Count)];
        while (open.Count > 0)
        {
            double perWeight = supply / open.Sum(i => claims[i].Weight);
            List<int> content = [.. open.Where(i => claims[i].Demand <= perWeight * claims[i].Weight)];
            if (content.Count == 0)
            {
                open.ForEach(i => shares[i] = perWeight * claims[i].Weight);
                break;
            }

            foreach (int i in content)
            {
                shares[i] = claims[i].Demand;
                supply -= claims[i].Demand;
                open.Remove(i);
            }
        }

        return shares;
    }

    private void Balance(List<ShareAccount> group)
    {
        // What stays idle is there to be had as well: limits go up by it until nothing is idle or nobody wants more.
        bool everywhere = group.Exists(one => one.Cpus.Count == 0);
        double idle = _idle.Where(cpu => everywhere || group.Exists(one => one.Cpus.Contains(cpu.Key))).Sum(cpu => cpu.Value.Value);
        double supply = group.Sum(one => one.Run) + idle;
        double[] shares = Divide(supply, [.. group.Select(one => (one.Weight, one.Demand))]);
        bool[] hungry = [.. group.Select((one, i) => one.Demand > shares[i] * (1 + Noticeable))];

        // Somebody must take what the limited ones leave, or other programs would and the supply shrink round by round: a busy domain that can have all it
        // wants, or the one to which the host's scheduler, fair to threads, gives the least of its share.
        bool isTaken = group.Where((one, i) => !hungry[i] && one.IsBusy).Any();
        int free = isTaken ? -1 : Enumerable.Range(0, group.Count).Where(i => hungry[i]).OrderByDescending(i => shares[i] / group[i].Ceiling).FirstOrDefault(-1);
        bool[] limited = [.. group.Select((one, i) => hungry[i] && i != free && (one.Limit is not null || one.Run > shares[i] * (1 + Noticeable)))];
        double given = shares.Where((_, i) => limited[i]).Sum();
        foreach ((int i, ShareAccount one) in group.Index())
        {
            // What others have a right to and cannot use, as they have too few vCPUs, goes to those who can.
            one.Extra = !limited[i] ? 0
                : idle > supply * Noticeable ? one.Extra + (ExtraOfIdle * idle * shares[i] / given)
                : one.Extra * ExtraKept;
            one.Limit = limited[i] ? shares[i] + one.Extra : null;
        }
    }

    /// <summary>Domains that may run on the same CPUs, directly or through others.</summary>
    private List<List<ShareAccount>> Groups()
    {
        List<List<ShareAccount>> groups = [];
        foreach (ShareAccount account in _accounts.Values.OrderBy(one => one.Id))
        {
            List<List<ShareAccount>> met = groups.FindAll(group => group.Exists(account.Meets));
            groups.RemoveAll(met.Contains);
            groups.Add([.. met.SelectMany(group => group), account]);
        }

        return groups;
    }
}
