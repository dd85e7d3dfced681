using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

public sealed class TransactionTests
{
    private readonly StoreHarness store = new();

    [Fact]
    public void ChangesAreSeenInsideAtOnceAndOutsideAfterTheCommit()
    {
        uint id = store.Zero.Start();
        Assert.Equal("OK|", store.Zero.Write("/a/b", "1", id));
        Assert.Equal("1", store.Zero.Read("/a/b", id));
        Assert.Equal("ENOENT", store.Zero.Read("/a/b"));
        Assert.Equal("OK|", store.Zero.Commit(id));
        Assert.Equal("1", store.Zero.Read("/a/b"));
        Assert.Equal("ENOENT", store.Zero.Read("/a/b", id));
    }

    [Fact]
    public void AnAbortLeavesNothing()
    {
        uint id = store.Zero.Start();
        store.Zero.Write("/a", "1", id);
        Assert.Equal("OK|", store.Zero.Abort(id));
        Assert.Equal("ENOENT", store.Zero.Read("/a"));
        Assert.Equal("ENOENT", store.Zero.Commit(id));
    }

    [Fact]
    public void AChangeOfWhatWasReadConflicts()
    {
        store.Zero.Write("/a", "1");
        uint id = store.Zero.Start();
        store.Zero.Read("/a", id);
        store.Zero.Write("/b", "x", id);
        store.Zero.Write("/a", "2");
        Assert.Equal("1", store.Zero.Read("/a", id));
        Assert.Equal("EAGAIN", store.Zero.Commit(id));
        Assert.Equal("ENOENT", store.Zero.Read("/b"));
    }

    [Fact]
    public void AChangeOfSomethingElseDoesNot()
    {
        store.Zero.Write("/a", "1");
        store.Zero.Write("/other", "1");
        uint id = store.Zero.Start();
        store.Zero.Read("/a", id);
        store.Zero.Write("/a", "2", id);
        store.Zero.Write("/other", "2");
        Assert.Equal("OK|", store.Zero.Commit(id));
        Assert.Equal("2", store.Zero.Read("/a"));
        Assert.Equal("2", store.Zero.Read("/other"));
    }

    [Fact]
    public void WhatWasMissingAndIsThereNowConflicts()
    {
        uint id = store.Zero.Start();
        Assert.Equal("ENOENT", store.Zero.Read("/a", id));
        store.Zero.Write("/a", "1");
        Assert.Equal("EAGAIN", store.Zero.Commit(id));
    }

    [Fact]
    public void WhatWasRemovedAndMadeAgainConflicts()
    {
        store.Zero.Write("/a", "1");
        uint id = store.Zero.Start();
        store.Zero.Read("/a", id);
        store.Zero.Remove("/a");
        store.Zero.Write("/a", "1");
        Assert.Equal("EAGAIN", store.Zero.Commit(id));
    }

    [Fact]
    public void ANewChildBelowWhatIsRemovedConflicts()
    {
        store.Zero.Write("/a/b", "1");
        uint id = store.Zero.Start();
        store.Zero.Remove("/a", id);
        store.Zero.Write("/a/c", "1");
        Assert.Equal("EAGAIN", store.Zero.Commit(id));
        Assert.Equal("1", store.Zero.Read("/a/c"));
    }

    [Fact]
    public void TwoTransactionsThatReadWhatTheOtherWritesCannotBothCommit()
    {
        store.Zero.Write("/a", "0");
        store.Zero.Write("/b", "0");
        uint first = store.Zero.Start();
        uint second = store.Zero.Start();
        store.Zero.Read("/a", first);
        store.Zero.Write("/b", "1", first);
        store.Zero.Read("/b", second);
        store.Zero.Write("/a", "1", second);
        Assert.Equal("OK|", store.Zero.Commit(first));
        Assert.Equal("EAGAIN", store.Zero.Commit(second));
        Assert.Equal("0", store.Zero.Read("/a"));
    }

    [Fact]
    public void WhatIsRemovedAndMadeAgainInsideLosesItsChildren()
    {
        store.Zero.Write("/a/b/c", "1");
        store.Zero.Write("/a/d", "1");
        uint id = store.Zero.Start();
        store.Zero.Remove("/a", id);
        store.Zero.Write("/a/e", "2", id);
        Assert.Equal("OK|", store.Zero.Commit(id));
        Assert.Equal("e|", store.Zero.List("/a"));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
    }

    [Fact]
    public void ChildrenAreListedInTheOrderTheyWereMadeInside()
    {
        uint id = store.Zero.Start();
        foreach (string name in (string[])["z", "m", "a"])
        {
            store.Zero.Write("/d/" + name, "", id);
        }

        store.Zero.Commit(id);
        Assert.Equal("z|m|a|", store.Zero.List("/d"));
    }

    [Fact]
    public void IdsAreAClientsOwn()
    {
        StoreHarness.Client other = store.Connect();
        uint id = store.Zero.Start();
        Assert.Equal("ENOENT", other.Read("/", id));
        Assert.Equal("ENOENT", other.Commit(id));
        Assert.Equal("EBUSY", store.Zero.Ask(XenStoreOperation.TransactionStart, "|", id));
        Assert.Equal("ENOENT", store.Zero.Commit(0));
        Assert.Equal("OK|", store.Zero.Commit(id));
    }

    [Fact]
    public void AMisspeltEndDoesNotEnd()
    {
        uint id = store.Zero.Start();
        Assert.Equal("EINVAL", store.Zero.Ask(XenStoreOperation.TransactionEnd, "t|", id));
        Assert.Equal("OK|", store.Zero.Commit(id));
    }

    [Fact]
    public void ADoomedTransactionWorksAndItsCommitIsToBeTriedAgain()
    {
        StoreHarness.Client one = store.Introduce(1);
        one.Session.Transactions.Add(77, new Server.Sessions.StoreTransaction(isDoomed: true));
        Assert.Equal("OK|", one.Write("a", "1", 77));
        Assert.Equal("1", one.Read("a", 77));
        Assert.Equal("EAGAIN", one.Commit(77));
        Assert.Equal("ENOENT", one.Read("a"));
        Assert.Equal("ENOENT", one.Commit(77));
    }

    [Fact]
    public void ResetEndsWatchesAndTransactions()
    {
        StoreHarness.Client one = store.Introduce(1);
        uint id = one.Start();
        one.Watch("a", "t");
        Assert.Equal("OK|", one.Ask(XenStoreOperation.ResetWatches, "|"));
        one.TakeEvents();
        one.Write("a", "1");
        Assert.Empty(one.TakeEvents());
        Assert.Equal("ENOENT", one.Commit(id));
    }
}
