using Microsoft.Extensions.DependencyInjection;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>What xend does for a display, with the double of the domain process.</summary>
public sealed class DisplayTests
{
    [Fact]
    public async Task A_vfb_is_a_framebuffer_and_a_keyboard_and_its_password_is_not_for_the_guest()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "vfb = ['type=vnc,vnclisten=127.0.0.1:4,vncpasswd=secret']");
        LocalStore store = home.Host.Services.GetRequiredService<LocalStore>();
        IXenStoreNodes nodes = store.Nodes;
        const string back = "/local/domain/0/backend";
        const string front = "/local/domain/1/device";
        (string Node, string Value)[] expected =
        [
            ($"{back}/vfb/1/0/vnc", "1"), ($"{back}/vfb/1/0/vnclisten", "127.0.0.1"), ($"{back}/vfb/1/0/vncdisplay", "4"), ($"{back}/vfb/1/0/vncunused", "1"),
            ($"{back}/vfb/1/0/sdl", "0"), ($"{back}/vfb/1/0/frontend", $"{front}/vfb/0"), ($"{front}/vfb/0/backend", $"{back}/vfb/1/0"),
            ($"{back}/vkbd/1/0/frontend", $"{front}/vkbd/0"), ($"{front}/vkbd/0/backend", $"{back}/vkbd/1/0"), ($"{front}/vkbd/0/state", "1"),
        ];
        Assert.All(expected, e => Assert.Equal(e.Value, nodes.TryReadString(e.Node)));
        Assert.All(nodes.TryList($"{back}/vfb/1/0")!, name => Assert.NotEqual("secret", nodes.TryReadString($"{back}/vfb/1/0/{name}")));
        Assert.All(nodes.TryList("/local/domain/1/console")!, name => Assert.NotEqual("secret", nodes.TryReadString($"/local/domain/1/console/{name}")));
        await home.Client.DestroyAsync("a", TestContext.Current.CancellationToken);
        await home.AssertNothingLeftAsync(store);
    }
}
