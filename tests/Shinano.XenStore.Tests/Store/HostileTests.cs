using CsCheck;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

/// <summary>A guest may send anything: each request gets one answer of the protocol, and the store stays sound.</summary>
public sealed class HostileTests
{
    private static readonly Gen<byte[]> Payload = Gen.OneOf(
        Gen.Byte.Array[0, 40],
        Gen.OneOf("/", "a", "b", "local", "domain", "1", "2", "\0", "T", "F", "@releaseDomain", "n1", "r2", "//", "-1", "99999999999")
            .Array[0, 8].Select(parts => System.Text.Encoding.Latin1.GetBytes(string.Concat(parts))));

    [Fact]
    public void AnyRequestOfADomainIsAnswered() =>
        Gen.Select(Gen.UInt[0, 24], Payload, Gen.UInt[0, 4]).Array[1, 80].Sample(requests =>
        {
            var store = new StoreHarness();
            StoreHarness.Client one = store.Introduce(1);
            StoreHarness.Client two = store.Introduce(2);
            two.Write("mine", "untouched");
            foreach ((uint operation, byte[] payload, uint transaction) in requests)
            {
                one.Ask((XenStoreOperation)operation, payload, transaction);
            }

            Assert.Equal("untouched", two.Read("mine"));
            Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
        });

    [Fact]
    public void AnyRequestOfDomainZeroIsAnswered() =>
        Gen.Select(Gen.UInt[0, 24], Payload, Gen.UInt[0, 4]).Array[1, 80].Sample(requests =>
        {
            var store = new StoreHarness();
            store.Introduce(1);
            foreach ((uint operation, byte[] payload, uint transaction) in requests)
            {
                store.Zero.Ask((XenStoreOperation)operation, payload, transaction);
            }

            Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
        });

    [Fact]
    public void TheDeepestPathIsNoTrouble()
    {
        var store = new StoreHarness();
        StoreHarness.Client one = store.Introduce(1);
        store.Zero.Ask(XenStoreOperation.Control, "quota|set|nodes|2000|");
        string deep = string.Join('/', Enumerable.Repeat("x", XenStoreLimits.MaximumRelativePath / 2));
        Assert.Equal("OK|", one.Write(deep, "1"));
        Assert.Equal("1", one.Read(deep));
        uint id = one.Start();
        Assert.Equal("OK|", one.Write(deep, "2", id));
        Assert.Equal("OK|", one.Commit(id));
        Assert.Equal("OK|", one.Remove("x"));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
    }
}
