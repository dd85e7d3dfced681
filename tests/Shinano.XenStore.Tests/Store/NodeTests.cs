using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Store;

public sealed class NodeTests
{
    private readonly StoreHarness store = new();

    [Fact]
    public void WritesReadsAndListsInTheOrderOfCreation()
    {
        StoreHarness.Client zero = store.Zero;
        Assert.Equal("OK|", zero.Write("/a/z", "1"));
        Assert.Equal("OK|", zero.Write("/a/b", "2|3"));
        Assert.Equal("OK|", zero.Write("/a/z", "4"));
        Assert.Equal("", zero.Read("/a"));
        Assert.Equal("2|3", zero.Read("/a/b"));
        Assert.Equal("4", zero.Read("/a/z"));
        Assert.Equal("z|b|", zero.List("/a"));
        Assert.Equal("", zero.List("/a/z"));
        Assert.Equal("ENOENT", zero.Read("/a/q"));
        Assert.Equal("ENOENT", zero.List("/q/q"));
    }

    [Fact]
    public void MkdirLeavesValuesAlone()
    {
        store.Zero.Write("/a", "value");
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.MakeDirectory, "/a|"));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.MakeDirectory, "/b/c|"));
        Assert.Equal("value", store.Zero.Read("/a"));
        Assert.Equal("", store.Zero.Read("/b/c"));
    }

    [Fact]
    public void RmRemovesAllBelowAndNeedsAParent()
    {
        store.Zero.Write("/a/b/c", "1");
        Assert.Equal("OK|", store.Zero.Remove("/a/b"));
        Assert.Equal("ENOENT", store.Zero.Read("/a/b/c"));
        Assert.Equal("OK|", store.Zero.Remove("/a/b"));
        Assert.Equal("ENOENT", store.Zero.Remove("/a/b/c"));
        Assert.Equal("EINVAL", store.Zero.Remove("/"));
    }

    [Theory]
    [InlineData(XenStoreOperation.Read, "/a")]
    [InlineData(XenStoreOperation.Read, "/a||")]
    [InlineData(XenStoreOperation.Read, "|")]
    [InlineData(XenStoreOperation.Read, "")]
    [InlineData(XenStoreOperation.Read, "/a b|")]
    [InlineData(XenStoreOperation.Read, "@releaseDomain|")]
    [InlineData(XenStoreOperation.Write, "/a")]
    [InlineData(XenStoreOperation.Write, "")]
    [InlineData(XenStoreOperation.MakeDirectory, "/a/|")]
    [InlineData(XenStoreOperation.SetPermissions, "/|")]
    [InlineData(XenStoreOperation.SetPermissions, "/|q1|")]
    [InlineData(XenStoreOperation.SetPermissions, "/|r|")]
    [InlineData(XenStoreOperation.SetPermissions, "@nothing|r1|")]
    [InlineData(XenStoreOperation.Watch, "/a|")]
    [InlineData(XenStoreOperation.Watch, "/a|t|1|")]
    [InlineData(XenStoreOperation.Watch, "/a//b|t|")]
    [InlineData(XenStoreOperation.Unwatch, "/a|")]
    [InlineData(XenStoreOperation.TransactionEnd, "X|")]
    [InlineData(XenStoreOperation.Introduce, "1|1|")]
    [InlineData(XenStoreOperation.Introduce, "1|1|0|")]
    [InlineData(XenStoreOperation.Introduce, "0|1|1|")]
    [InlineData(XenStoreOperation.Introduce, "32752|1|1|")]
    [InlineData(XenStoreOperation.Introduce, "x|1|1|")]
    [InlineData(XenStoreOperation.Release, "0|")]
    [InlineData(XenStoreOperation.Resume, "0|")]
    [InlineData(XenStoreOperation.Control, "whatever|")]
    [InlineData(XenStoreOperation.Control, "")]
    [InlineData(XenStoreOperation.Control, "quota|set|nodes|0|")]
    [InlineData(XenStoreOperation.DirectoryPart, "/|")]
    [InlineData(XenStoreOperation.DirectoryPart, "/|-1|")]
    public void MalformedRequestsAreInvalid(XenStoreOperation operation, string payload) =>
        Assert.Equal("EINVAL", store.Zero.Ask(operation, payload));

    [Theory]
    [InlineData(15u)]
    [InlineData(16u)]
    [InlineData(20u)]
    [InlineData(23u)]
    [InlineData(0xFFFFu)]
    [InlineData(uint.MaxValue)]
    public void UnknownOperationsAreNotSupported(uint operation)
    {
        Assert.Equal("ENOSYS", store.Zero.Ask((XenStoreOperation)operation, "/|"));
        Assert.Equal("ENOSYS", store.Zero.Ask((XenStoreOperation)operation, "/|", transaction: 5));
    }

    [Fact]
    public void LongListsComeInPartsOfWholeNames()
    {
        string[] names = [.. Enumerable.Range(0, 700).Select(i => $"name-{i}")];
        foreach (string name in names)
        {
            store.Zero.Write("/list/" + name, "");
        }

        Assert.Equal("E2BIG", store.Zero.List("/list"));
        var found = new List<string>();
        int offset = 0;
        string? generation = null;
        while (found is not [.., ""])
        {
            string[] part = store.Zero.Ask(XenStoreOperation.DirectoryPart, $"/list|{offset}|").Split('|')[..^1];
            generation ??= part[0];
            Assert.Equal(generation, part[0]);
            found.AddRange(part.Skip(1));
            offset += part.Skip(1).Sum(name => name.Length + 1);
        }

        Assert.Equal(names, found[..^1]);
        store.Zero.Write("/list/one-more", "");
        Assert.NotEqual(generation, store.Zero.Ask(XenStoreOperation.DirectoryPart, "/list|0|").Split('|')[0]);
    }

    [Fact]
    public void PartsAtAndBeyondTheEndAreOneEmptyName()
    {
        store.Zero.Write("/d/x", "");
        Assert.EndsWith("|x||", store.Zero.Ask(XenStoreOperation.DirectoryPart, "/d|0|"));
        Assert.Matches("^[0-9]+\\|\\|$", store.Zero.Ask(XenStoreOperation.DirectoryPart, "/d|2|"));
        Assert.Matches("^[0-9]+\\|\\|$", store.Zero.Ask(XenStoreOperation.DirectoryPart, "/d|4294967295|"));
    }

    [Fact]
    public void ARefusedJournalChangesNothing()
    {
        var refusing = new StoreHarness(journal: new RefusingJournal());
        refusing.Zero.Watch("/", "t");
        refusing.Zero.TakeEvents();
        Assert.Equal("EIO", refusing.Zero.Write("/a", "1"));
        Assert.Equal("ENOENT", refusing.Zero.Read("/a"));
        Assert.Empty(refusing.Zero.TakeEvents());
    }

    private sealed class RefusingJournal : Server.Journal.IStoreJournal
    {
        public bool TryAppend(IReadOnlyList<Server.Tree.StoreMutation> change) => false;
    }
}
