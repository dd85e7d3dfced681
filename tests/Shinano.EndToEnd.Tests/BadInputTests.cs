namespace Shinano.EndToEnd.Tests;

/// <summary>What a person gets wrong: a named error, an exit code, and nothing left behind.</summary>
public sealed class BadInputTests(GuestFiles files) : IClassFixture<GuestFiles>
{
    private static readonly (string What, string Configuration, string Named)[] Refusals =
    [
        ("a missing kernel", "memory = 128\nkernel = \"/nonexistent/vmlinuz\"", "/nonexistent/vmlinuz"),
        ("no kernel", "memory = 128\nkernel = \"/bin/sh\"", "/bin/sh"),
        ("a syntax error", "memory = = 128", ":2:"),
        ("a wrong type", "memory = \"much\"\nkernel = \"KERNEL\"", "memory"),
        ("too little memory", "memory = 4\nkernel = \"KERNEL\"\nramdisk = \"RAMDISK\"", "memory"),
        ("more memory than the host has", "memory = 99999999\nkernel = \"KERNEL\"", "memory"),
        ("too many vcpus", "memory = 128\nvcpus = 1000\nkernel = \"KERNEL\"", "vcpus"),
        ("an unreadable ramdisk", "memory = 128\nkernel = \"KERNEL\"\nramdisk = \"/nonexistent/initrd\"", "/nonexistent/initrd"),
    ];

    [Fact]
    public async Task What_is_wrong_is_refused_by_name_and_leaves_nothing()
    {
        await using Host host = Host.Create();
        foreach ((string what, string configuration, string named) in Refusals)
        {
            string text = configuration.Replace("KERNEL", files.Kernel, StringComparison.Ordinal).Replace("RAMDISK", files.Ramdisk, StringComparison.Ordinal);
            ToolResult result = await host.XmAsync("create", host.Configuration("bad", text));
            Assert.True(result.ExitCode != 0, $"{what}: {result}");
            Assert.True(result.Error.Contains(named, StringComparison.Ordinal), $"{what}: {result}");
            Assert.False(result.Error.Contains("   at ", StringComparison.Ordinal), $"{what}: {result}");
        }

        Assert.DoesNotContain("bad", (await host.SucceedAsync("xm", "list")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_of_no_domain_is_an_error_on_each_verb()
    {
        await using Host host = Host.Create();
        foreach (string verb in new[] { "pause", "unpause", "destroy", "shutdown", "reboot", "domid", "console", "vcpu-list" })
        {
            ToolResult result = await host.XmAsync(verb, "nobody");
            Assert.True(result.ExitCode != 0 && result.Error.Contains("nobody", StringComparison.Ordinal), $"{verb}: {result}");
        }
    }

    [Fact]
    public async Task A_name_cannot_be_used_twice()
    {
        await using Host host = Host.Create();
        string path = host.Configuration("twin", $"memory = 128\n{files.Boot}");
        Assert.Equal(0, (await host.XmAsync("create", "-p", path)).ExitCode);
        ToolResult second = await host.XmAsync("create", "-p", path);
        Assert.NotEqual(0, second.ExitCode);
        Assert.Contains("twin", second.Error, StringComparison.Ordinal);
        Assert.Equal(0, (await host.XmAsync("destroy", "twin")).ExitCode);
    }
}
