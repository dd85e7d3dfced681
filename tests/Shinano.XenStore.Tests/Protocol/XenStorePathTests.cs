using Shinano.XenAbi;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Protocol;

public sealed class XenStorePathTests
{
    [Theory]
    [InlineData("/", true)]
    [InlineData("/a", true)]
    [InlineData("/local/domain/0/A-Z_@9", true)]
    [InlineData("", false)]
    [InlineData("a", false)]
    [InlineData("/a/", false)]
    [InlineData("//", false)]
    [InlineData("/a//b", false)]
    [InlineData("/a b", false)]
    [InlineData("/a.b", false)]
    [InlineData("/\u00e9", false)]
    [InlineData("@releaseDomain", false)]
    public void ChecksNodes(string path, bool isValid) => Assert.Equal(isValid, XenStorePath.IsValidNode(path));

    [Fact]
    public void CountsLengthWithoutTheDomainsOwnPrefix()
    {
        string longest = new('x', XenStoreLimits.MaximumRelativePath);
        Assert.True(XenStorePath.IsValidNode("/" + longest[1..]));
        Assert.False(XenStorePath.IsValidNode("/" + longest));
        Assert.True(XenStorePath.IsValidNode("/local/domain/12345/" + longest));
        Assert.False(XenStorePath.IsValidNode("/local/domain/12345/" + longest + "x"));
        Assert.False(XenStorePath.IsValidNode("/local/domain/123456/" + longest));
        Assert.False(XenStorePath.IsValidNode("/local/domain/x/" + longest));
    }

    [Theory]
    [InlineData("device/vbd", "/local/domain/7/device/vbd")]
    [InlineData("", "/local/domain/7/")]
    [InlineData("/x", "/x")]
    [InlineData("@releaseDomain", "@releaseDomain")]
    public void ResolvesRelativePaths(string given, string absolute) =>
        Assert.Equal(absolute, XenStorePath.Resolve(given, new DomainId(7)));

    [Theory]
    [InlineData("/a/b", "/a", "b")]
    [InlineData("/a", "/", "a")]
    [InlineData("/", "/", "")]
    public void SplitsPaths(string path, string parent, string leaf)
    {
        Assert.Equal(parent, XenStorePath.Parent(path));
        Assert.Equal(leaf, XenStorePath.LeafName(path));
    }

    [Theory]
    [InlineData("n0", 0, NodeAccess.None)]
    [InlineData("r5", 5, NodeAccess.Read)]
    [InlineData("w65535", 65535, NodeAccess.Write)]
    [InlineData("b12", 12, NodeAccess.ReadWrite)]
    public void ReadsAndShowsPermissions(string text, int domain, NodeAccess access)
    {
        Assert.True(NodePermission.TryParse(text, out NodePermission permission));
        Assert.Equal(new NodePermission(new DomainId((ushort)domain), access), permission);
        Assert.Equal(text, permission.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("r")]
    [InlineData("x0")]
    [InlineData("r-1")]
    [InlineData("r65536")]
    [InlineData("r1 ")]
    [InlineData("r 1")]
    public void RefusesOtherPermissions(string text) => Assert.False(NodePermission.TryParse(text, out _));
}
