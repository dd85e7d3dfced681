using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

public sealed class PermissionTests
{
    private readonly StoreHarness store = new();
    private readonly StoreHarness.Client one;
    private readonly StoreHarness.Client two;

    public PermissionTests()
    {
        one = store.Introduce(1);
        two = store.Introduce(2);
    }

    [Fact]
    public void ADomainOwnsWhatItCreatesAtItsHome()
    {
        Assert.Equal("OK|", one.Write("device/vbd/0", "x"));
        Assert.Equal("x", store.Zero.Read("/local/domain/1/device/vbd/0"));
        Assert.Equal("n1|", one.Ask(XenStoreOperation.GetPermissions, "device/vbd/0|"));
        Assert.Equal("EACCES", two.Read("/local/domain/1/device/vbd/0"));
        Assert.Equal("EACCES", two.Write("/local/domain/1/device/vbd/0", "y"));
        Assert.Equal("EACCES", two.Write("/local/domain/1/new", "y"));
        Assert.Equal("EACCES", two.Remove("/local/domain/1/device"));
    }

    [Fact]
    public void WhetherANodeExistsIsHiddenFromWhoMayNotReadAbove()
    {
        store.Zero.Write("/secret/there", "x");
        Assert.Equal("EACCES", one.Read("/secret/there"));
        Assert.Equal("EACCES", one.Read("/secret/missing"));
        store.Zero.SetPermissions("/secret", "r0");
        Assert.Equal("ENOENT", one.Read("/secret/missing"));
        Assert.Equal("EACCES", one.Read("/secret/there"));
        Assert.Equal("EACCES", one.Write("/secret/missing", ""));
    }

    [Theory]
    [InlineData("n0", "EACCES", "EACCES")]
    [InlineData("r0", "x", "EACCES")]
    [InlineData("w0", "EACCES", "OK|")]
    [InlineData("b0", "x", "OK|")]
    [InlineData("n0|r1", "x", "EACCES")]
    [InlineData("n0|w1", "EACCES", "OK|")]
    [InlineData("n0|b1", "x", "OK|")]
    [InlineData("b0|n1", "EACCES", "EACCES")]
    [InlineData("n1", "x", "OK|")]
    [InlineData("n0|r2|b1", "x", "OK|")]
    public void EntriesGiveWhatTheySay(string permissions, string read, string write)
    {
        store.Zero.Write("/node", "x");
        store.Zero.SetPermissions("/node", permissions);
        Assert.Equal(permissions + "|", store.Zero.Ask(XenStoreOperation.GetPermissions, "/node|"));
        Assert.Equal(read, one.Read("/node"));
        Assert.Equal(write, one.Write("/node", "x"));
    }

    [Fact]
    public void OnlyTheOwnerSetsPermissionsAndCannotGiveTheNodeAway()
    {
        one.Write("mine", "x");
        Assert.Equal("EPERM", one.SetPermissions("mine", "n2"));
        Assert.Equal("OK|", one.SetPermissions("mine", "n1|b2"));
        Assert.Equal("EACCES", two.SetPermissions("/local/domain/1/mine", "n1|b2"));
        Assert.Equal("OK|", store.Zero.SetPermissions("/local/domain/1/mine", "n2"));
        Assert.Equal("OK|", two.SetPermissions("/local/domain/1/mine", "r2"));
        Assert.Equal("EACCES", one.SetPermissions("mine", "r1"));
    }

    [Theory]
    [InlineData(XenStoreOperation.Introduce, "9|1|1|")]
    [InlineData(XenStoreOperation.Release, "2|")]
    [InlineData(XenStoreOperation.Resume, "2|")]
    [InlineData(XenStoreOperation.SetTarget, "1|2|")]
    [InlineData(XenStoreOperation.IsDomainIntroduced, "2|")]
    [InlineData(XenStoreOperation.Control, "help|")]
    [InlineData(XenStoreOperation.SetPermissions, "@releaseDomain|r1|")]
    public void SomeRequestsAreDomainZeros(XenStoreOperation operation, string payload) =>
        Assert.Equal("EACCES", one.Ask(operation, payload));

    [Fact]
    public void ATargetLendsItsRights()
    {
        two.Write("theirs", "x");
        Assert.Equal("EACCES", one.Read("/local/domain/2/theirs"));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.SetTarget, "1|2|"));
        Assert.Equal("x", one.Read("/local/domain/2/theirs"));
        Assert.Equal("OK|", one.Write("/local/domain/2/theirs", "y"));
        Assert.Equal("ENOENT", store.Zero.Ask(XenStoreOperation.SetTarget, "1|77|"));
        store.Zero.Ask(XenStoreOperation.Release, "2|");
        store.Introduce(2).Write("theirs", "new");
        Assert.Equal("EACCES", one.Read("/local/domain/2/theirs"));
    }

    [Fact]
    public void ALaterDomainOfTheSameNumberInheritsNothing()
    {
        store.Zero.Write("/for-one", "x");
        store.Zero.SetPermissions("/for-one", "n0|b1|r2");
        one.Write("own/deep", "x");
        store.Zero.SetPermissions("@releaseDomain", "n0|r1");
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Release, "1|"));
        Assert.Equal("ENOENT", store.Zero.Ask(XenStoreOperation.Release, "1|"));
        Assert.Equal("ENOENT", store.Zero.Read("/local/domain/1"));
        Assert.Equal("n0|r2|", store.Zero.Ask(XenStoreOperation.GetPermissions, "/for-one|"));
        StoreHarness.Client again = store.Introduce(1);
        Assert.Equal("EACCES", again.Read("/for-one"));
        Assert.Equal("ENOENT", again.Read("own/deep"));
        again.Watch("@releaseDomain", "t");
        again.TakeEvents();
        store.Zero.Ask(XenStoreOperation.Release, "2|");
        Assert.Empty(again.TakeEvents());
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
    }

    [Fact]
    public void DomainsAreIntroducedUntilTheyAreReleased()
    {
        Assert.Equal("T|", store.Zero.Ask(XenStoreOperation.IsDomainIntroduced, "1|"));
        Assert.Equal("T|", store.Zero.Ask(XenStoreOperation.IsDomainIntroduced, "0|"));
        Assert.Equal("F|", store.Zero.Ask(XenStoreOperation.IsDomainIntroduced, "3|"));
        Assert.Equal("/local/domain/3|", one.Ask(XenStoreOperation.GetDomainPath, "3|"));
        store.Zero.Ask(XenStoreOperation.Release, "1|");
        Assert.Equal("F|", store.Zero.Ask(XenStoreOperation.IsDomainIntroduced, "1|"));
        Assert.Null(one.Session.Sink);
    }
}
