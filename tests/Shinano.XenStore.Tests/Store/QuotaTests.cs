using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

public sealed class QuotaTests
{
    private readonly StoreHarness store = new();
    private readonly StoreHarness.Client one;

    public QuotaTests() => one = store.Introduce(1);

    [Fact]
    public void NodesAreLimitedAndFreedOnesCountNoMore()
    {
        // The home and ten directories are nodes too.
        for (int i = 0; i < 1000 - 11; i++)
        {
            Assert.Equal("OK|", one.Write($"d{i % 10}/{i}", ""));
        }

        Assert.Equal("ENOSPC", one.Write("one-too-many", ""));
        Assert.Equal("ENOSPC", one.Ask(XenStoreOperation.MakeDirectory, "one-too-many|"));
        Assert.Equal("OK|", one.Write("d0/10", "existing ones can be written"));
        Assert.Equal("OK|", one.Remove("d0/10"));
        Assert.Equal("ENOSPC", one.Write("a/b", ""));
        Assert.Equal("OK|", one.Write("a", ""));
        Assert.Equal("ENOSPC", one.Write("one-too-many", ""));
        Assert.Equal("OK|", store.Zero.Write("/local/domain/1/from-zero", ""));
    }

    [Fact]
    public void NodesAreCountedWhenATransactionCommits()
    {
        store.Zero.Ask(XenStoreOperation.Control, "quota|set|nodes|3|");
        uint first = one.Start();
        uint second = one.Start();
        Assert.Equal("OK|", one.Write("a/1", "", first));
        Assert.Equal("ENOSPC", one.Write("a/2", "", first));
        Assert.Equal("OK|", one.Write("b", "", second));
        Assert.Equal("OK|", one.Write("c", "", second));
        Assert.Equal("OK|", one.Commit(first));
        Assert.Equal("EAGAIN", one.Commit(second));
    }

    [Fact]
    public void NodeSizeIsThatOfXensRecord()
    {
        // 24 bytes of header and 8 for the one permission: 2048 is refused.
        Assert.Equal("OK|", one.Write("x", new string('v', 2015)));
        Assert.Equal("ENOSPC", one.Write("x", new string('v', 2016)));
        Assert.Equal("ENOSPC", one.Write("y", new string('v', 2016)));
        Assert.Equal("ENOENT", one.Read("y"));
        Assert.Equal("OK|", store.Zero.Write("/x", new string('v', 4000)));
    }

    [Fact]
    public void NamesOfChildrenCountForTheParent()
    {
        string name = new('n', 500);
        Assert.Equal("OK|", one.Write("d/1" + name, ""));
        Assert.Equal("OK|", one.Write("d/2" + name, ""));
        Assert.Equal("OK|", one.Write("d/3" + name, ""));
        Assert.Equal("OK|", one.Write("d/4" + name[..400], ""));
        Assert.Equal("ENOSPC", one.Write("d/5" + name[..200], ""));
    }

    [Fact]
    public void WatchesAreLimitedAsInXen()
    {
        for (int i = 0; i <= 128; i++)
        {
            Assert.Equal("OK|", one.Watch("a", $"t{i}"));
        }

        Assert.Equal("E2BIG", one.Watch("a", "more"));
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal("OK|", store.Zero.Watch("/a", $"t{i}"));
        }
    }

    [Fact]
    public void TransactionsAreLimitedAsInXen()
    {
        for (int i = 0; i <= 10; i++)
        {
            one.Start();
        }

        Assert.Equal("ENOSPC", one.Ask(XenStoreOperation.TransactionStart, "|"));
    }

    [Fact]
    public void ATransactionThatLooksAtTooMuchCannotCommit()
    {
        store.Zero.Ask(XenStoreOperation.Control, "quota|set|transaction-nodes|5|");
        uint id = one.Start();
        for (int i = 0; i < 4; i++)
        {
            one.Read($"x{i}", id);
        }

        Assert.Equal("ENOSPC", one.Read("y", id));
        Assert.Equal("ENOMEM", one.Commit(id));
    }

    [Fact]
    public void PermissionsAreLimited()
    {
        one.Write("x", "");
        Assert.Equal("OK|", one.SetPermissions("x", "n1|r2|r3|r4|r5"));
        Assert.Equal("ENOSPC", one.SetPermissions("x", "n1|r2|r3|r4|r5|r6"));
    }

    [Fact]
    public void PathsAreLimited()
    {
        store.Zero.Ask(XenStoreOperation.Control, "quota|set|path-max|10|");
        Assert.Equal("OK|", one.Write("0123456789", ""));
        Assert.Equal("EINVAL", one.Write("0123456789x", ""));
    }

    [Fact]
    public void ControlShowsWhatIsSetAndUsed()
    {
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "quota|set|watches|7|"));
        string quotas = store.Zero.Ask(XenStoreOperation.Control, "quota|");
        Assert.StartsWith("Quota settings:\n", quotas);
        Assert.Contains("watches          :        7 Watches per domain\n", quotas);
        one.Write("a/b", "");
        one.Watch("a", "t");
        string used = store.Zero.Ask(XenStoreOperation.Control, "quota|1|");
        Assert.Equal("Domain 1:\nnodes           :        3\nwatches         :        1\ntransactions    :        0\n|", used);
        Assert.Equal("ENOENT", store.Zero.Ask(XenStoreOperation.Control, "quota|9|"));
        Assert.Contains("quota\t", store.Zero.Ask(XenStoreOperation.Control, "help|"));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "print|hello|"));
        Assert.Equal(["hello"], store.Printed);
    }
}
