using Microsoft.Extensions.DependencyInjection;
using Shinano.Control.Api.Xend;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>What xend does for further consoles, with the double of the domain process.</summary>
public sealed class ChannelTests
{
    [Fact]
    public async Task Channels_are_laid_out_as_libxl_does_told_of_and_removed_at_the_end()
    {
        await using TestHome home = await TestHome.StartAsync();
        CreatedDomain? domain = await home.CreateAsync(
            "a", "channel = ['name=shell,connection=pty', 'name=org.example.agent.1,connection=socket,path=agent']");
        LocalStore store = home.Host.Services.GetRequiredService<LocalStore>();
        IXenStoreNodes nodes = store.Nodes;
        const string back = "/local/domain/0/backend/console/1";
        const string front = "/local/domain/1/device/console";
        string agent = Path.Combine(home.Directory, "agent");
        string shell = domain!.ConsoleSocket + ".1";
        (string Node, string Value)[] expected =
        [
            ($"{front}/1/backend", $"{back}/1"), ($"{front}/1/backend-id", "0"), ($"{front}/1/state", "1"), ($"{front}/1/protocol", "vt100"),
            ($"{front}/1/name", "shell"), ($"{front}/1/limit", "1048576"), ($"{front}/1/type", "ioemu"), ($"{front}/1/output", "pty"), ($"{front}/1/tty", shell),
            ($"{back}/1/frontend", $"{front}/1"), ($"{back}/1/protocol", "vt100"), ($"{back}/1/name", "shell"), ($"{back}/1/connection", "pty"),
            ($"{front}/2/name", "org.example.agent.1"), ($"{front}/2/tty", agent), ($"{back}/2/connection", "socket"), ($"{back}/2/path", agent),
        ];
        Assert.All(expected, e => Assert.Equal(e.Value, nodes.TryReadString(e.Node)));
        Assert.Equal(["n1", "r0"], nodes.TryGetPermissions($"{front}/1/state")!.Select(p => p.ToString()));
        Assert.All((string[])["name", "limit", "type", "output", "tty"], node =>
            Assert.Equal(["n0", "r1"], nodes.TryGetPermissions($"{front}/1/{node}")!.Select(p => p.ToString())));
        DomainDetails details = await home.Client.DescribeAsync("a", TestContext.Current.CancellationToken);
        Assert.Equal([new(1, "shell", shell), new(2, "org.example.agent.1", agent)], details.Channels);
        await home.Client.DestroyAsync("a", TestContext.Current.CancellationToken);
        await home.AssertNothingLeftAsync(store);
    }
}
