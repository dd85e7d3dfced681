using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

public sealed class WatchTests
{
    private readonly StoreHarness store = new();

    [Fact]
    public void FiresAtOnceAndForTheNodeAndAllBelow()
    {
        Assert.Equal("OK|", store.Zero.Watch("/a", "token"));
        Assert.Equal(["/a token"], store.Zero.TakeEvents());
        store.Zero.Write("/a/b/c", "1");
        store.Zero.Write("/ab", "1");
        store.Zero.Ask(XenStoreOperation.MakeDirectory, "/a/b|");
        store.Zero.Ask(XenStoreOperation.MakeDirectory, "/a/d|");
        store.Zero.SetPermissions("/a", "r0");
        Assert.Equal(["/a/b/c token", "/a/d token", "/a token"], store.Zero.TakeEvents());
    }

    [Fact]
    public void RemovalFiresWatchesBelowWithTheirOwnPath()
    {
        store.Zero.Write("/a/b/c", "1");
        StoreHarness.Client below = store.Connect();
        StoreHarness.Client above = store.Connect();
        below.Watch("/a/b/c", "below");
        above.Watch("/a", "above");
        below.TakeEvents();
        above.TakeEvents();
        store.Zero.Remove("/a/b");
        Assert.Equal(["/a/b/c below"], below.TakeEvents());
        Assert.Equal(["/a/b above"], above.TakeEvents());
    }

    [Fact]
    public void EventsOfATransactionComeWithItsCommit()
    {
        store.Zero.Watch("/a", "t");
        store.Zero.TakeEvents();
        uint id = store.Zero.Start();
        store.Zero.Write("/a/x", "1", id);
        store.Zero.Write("/a/y", "1", id);
        store.Zero.Write("/a/x", "2", id);
        Assert.Empty(store.Zero.TakeEvents());
        store.Zero.Commit(id);
        Assert.Equal(["/a/x t", "/a/y t"], store.Zero.TakeEvents());

        id = store.Zero.Start();
        store.Zero.Write("/a/x", "3", id);
        store.Zero.Abort(id);
        Assert.Empty(store.Zero.TakeEvents());
    }

    [Fact]
    public void RelativeWatchesReportRelativePaths()
    {
        StoreHarness.Client one = store.Introduce(1);
        Assert.Equal("OK|", one.Watch("device", "t"));
        Assert.Equal(["device t"], one.TakeEvents());
        one.Write("device/vbd/0", "1");
        store.Zero.Write("/local/domain/1/device/vif", "1");
        Assert.Equal(["device/vbd/0 t", "device/vif t"], one.TakeEvents());
        Assert.Equal("EEXIST", one.Watch("/local/domain/1/device", "t"));
        Assert.Equal("OK|", one.Ask(XenStoreOperation.Unwatch, "/local/domain/1/device|t|"));
        Assert.Equal("ENOENT", one.Ask(XenStoreOperation.Unwatch, "device|t|"));
    }

    [Fact]
    public void ADomainHearsOnlyOfWhatItMayRead()
    {
        StoreHarness.Client one = store.Introduce(1);
        one.Watch("/", "all");
        one.TakeEvents();
        store.Zero.Write("/hidden/x", "1");
        Assert.Empty(one.TakeEvents());
        store.Zero.SetPermissions("/hidden/x", "r0");
        Assert.Equal(["/hidden/x all"], one.TakeEvents());
        store.Zero.SetPermissions("/hidden/x", "n0");
        Assert.Equal(["/hidden/x all"], one.TakeEvents());
        store.Zero.Write("/hidden/x", "2");
        Assert.Empty(one.TakeEvents());
        store.Zero.SetPermissions("/hidden", "r0");
        one.TakeEvents();
        store.Zero.Remove("/hidden/x");
        Assert.Equal(["/hidden/x all"], one.TakeEvents());
    }

    [Fact]
    public void SpecialWatchesTellOfDomains()
    {
        store.Zero.Watch("@introduceDomain", "i");
        store.Zero.Watch("@releaseDomain", "r");
        Assert.Equal(["@introduceDomain i", "@releaseDomain r"], store.Zero.TakeEvents());
        StoreHarness.Client one = store.Introduce(1);
        one.Watch("@releaseDomain", "mine");
        Assert.Equal(["@introduceDomain i"], store.Zero.TakeEvents());
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Introduce, "1|1|2|"));
        Assert.Empty(store.Zero.TakeEvents());
        store.Introduce(2);
        store.Zero.TakeEvents();
        one.TakeEvents();
        store.Zero.Ask(XenStoreOperation.Release, "2|");
        Assert.Equal(["@releaseDomain r"], store.Zero.TakeEvents());
        Assert.Empty(one.TakeEvents());
    }

    [Fact]
    public void ADomainThatMayReceivesSpecialEvents()
    {
        StoreHarness.Client one = store.Introduce(1);
        store.Zero.SetPermissions("@releaseDomain", "n0|r1");
        one.Watch("@releaseDomain", "t");
        one.TakeEvents();
        store.Introduce(2);
        store.Zero.Ask(XenStoreOperation.Release, "2|");
        Assert.Equal(["@releaseDomain t"], one.TakeEvents());
    }

    [Fact]
    public void AReleasedDomainsNodesFireBeforeTheSpecialEvent()
    {
        store.Introduce(1).Write("x", "1");
        store.Zero.Watch("/local", "l");
        store.Zero.Watch("@releaseDomain", "r");
        store.Zero.TakeEvents();
        store.Zero.Ask(XenStoreOperation.Release, "1|");
        Assert.Equal(["/local/domain/1 l", "@releaseDomain r"], store.Zero.TakeEvents());
    }

    [Fact]
    public void AReplayedWatchIsNoErrorButARepeatedOneIs()
    {
        StoreHarness.Client one = store.Introduce(1);
        one.Watch("a", "t");
        one.TakeEvents();
        one.Session.ReplaysLeft = 2;
        Assert.Equal("OK|", one.Watch("a", "t"));
        Assert.Equal("OK|", one.Ask(XenStoreOperation.Unwatch, "b|t|"));
        Assert.Equal(["a t"], one.TakeEvents());
        Assert.Equal("EEXIST", one.Watch("a", "t"));
        Assert.Equal("ENOENT", one.Ask(XenStoreOperation.Unwatch, "b|t|"));
    }

    [Theory]
    [InlineData("/local/domain/5/data/x", "/local/domain/7/data/x")]
    [InlineData("/local/domain/5", "/local/domain/7")]
    [InlineData("/local/domain/55/x", "/local/domain/55/x")]
    [InlineData("/local/domain/0/backend/vbd/5/51712/state", "/local/domain/0/backend/vbd/7/51712/state")]
    [InlineData("/local/domain/0/backend/vif/5", "/local/domain/0/backend/vif/7")]
    [InlineData("/local/domain/0/backend/vif/51/0", "/local/domain/0/backend/vif/51/0")]
    [InlineData("/local/domain/0/backend/5", "/local/domain/0/backend/5")]
    [InlineData("/vm/5", "/vm/5")]
    [InlineData("@releaseDomain", "@releaseDomain")]
    public void APathOfADomainsFormerNumberIsItsOwn(string path, string now) =>
        Assert.Equal(now, XenStorePath.Renumber(path, new DomainId(5), new DomainId(7)));

    [Fact]
    public void ADomainKnowsItsNodesByTheNumberItHadBefore()
    {
        const string Old = "/local/domain/0/backend/vbd/5/1/state";
        store.Zero.Write("/local/domain/0/backend/vbd/7/1/state", "4");
        store.Zero.SetPermissions("/local/domain/0/backend/vbd/7/1/state", "n0|r7");
        StoreHarness.Client seven = store.Introduce(7);
        Assert.Equal("OK|", seven.Watch(Old, "before"));
        seven.TakeEvents();
        store.Engine.State.SetFormerIds(store.Engine.State.FindDomain(new DomainId(7))!, [new DomainId(3), new DomainId(5)]);
        Assert.Equal("4", seven.Read(Old));
        store.Zero.Write("/local/domain/0/backend/vbd/7/1/state", "5");
        Assert.Equal([$"{Old} before"], seven.TakeEvents());
        Assert.Equal("OK|", seven.Ask(XenStoreOperation.Unwatch, $"{Old}|before|"));
        store.Zero.Write("/local/domain/0/backend/vbd/5/1/state", "1");
        Assert.Empty(seven.TakeEvents());
    }
}
