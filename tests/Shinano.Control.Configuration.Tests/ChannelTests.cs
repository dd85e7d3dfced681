using Shinano.Control.Configuration.Consoles;

namespace Shinano.Control.Configuration.Tests;

public sealed class ChannelTests
{
    private const string Minimal = "name = \"one\"\nkernel = \"/boot/vmlinuz\"\n";

    [Fact]
    public void Entries_of_xl_are_read()
    {
        ConfigurationResult read = Read("channel = [ 'name=shell, connection=pty', 'connection=SOCKET,path=/run/a b,name=org.example.agent.1,backend=0' ]");
        Assert.Equal(
            [
                new() { Number = 1, Name = "shell", Connection = ChannelConnection.Pty },
                new() { Number = 2, Name = "org.example.agent.1", Connection = ChannelConnection.Socket, Path = "/run/a b" },
            ],
            read.Configuration?.Channels);
        Assert.Equal(DiagnosticSeverity.Warning, Assert.Single(read.Diagnostics).Severity);
        Assert.Empty(Read("channel = []").Configuration!.Channels);
    }

    [Theory]
    [InlineData("['what']", "one.cfg:3:13: error: 'what' is no key=value")]
    [InlineData("['name=a=b']", "one.cfg:3:13: error: 'name=a=b' is no key=value")]
    [InlineData("['name=,connection=pty']", "one.cfg:3:13: error: 'name=' is no key=value")]
    [InlineData("['name=a, connection=tcp']", "one.cfg:3:21: error: connection=tcp is not one of pty, socket")]
    [InlineData("['name=a,port=1']", "one.cfg:3:20: error: 'port' is no key of channel: name, connection, path")]
    [InlineData("['connection=pty']", "one.cfg:3:13: error: name= is missing: name=console,connection=pty")]
    [InlineData("['name=a']", "one.cfg:3:13: error: connection= is missing: name=console,connection=pty")]
    [InlineData("['name=a,connection=socket']", "one.cfg:3:13: error: connection=socket needs path=")]
    [InlineData("['name=a,connection=pty,path=/x']", "one.cfg:3:13: error: path= is for connection=socket")]
    [InlineData("['name=a,connection=pty', 'name=a,connection=pty']", "one.cfg:3:37: error: name=a is used by two channels")]
    [InlineData("[7]", "one.cfg:3:12: error: an entry of channel must be a string in quotes, not a number")]
    [InlineData("['','','','','','','','','','']", "one.cfg:3:1: error: channel has 10 entries; 9 are possible")]
    public void Mistakes_are_named_where_they_are(string value, string message) =>
        Assert.Contains(message, Read($"channel = {value}").Diagnostics.Select(diagnostic => diagnostic.ToString()));

    [Fact]
    public void Random_entries_are_channels_or_problems()
    {
        int seed = Environment.TickCount;
        Random random = new(seed);
        string[] pieces = ["name=", "connection=", "pty", "socket", "path=", ",", "=", "a", " ", "\"", "\u00e9", "\0"];
        for (int i = 0; i < 20_000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => pieces[random.Next(pieces.Length)]));
            (ChannelConfiguration? channel, string? problem, int at, _) = ChannelString.Read(text, 1);
            Assert.True(channel is null != problem is null && at >= 0 && at <= text.Length, $"seed {seed}: {text}");
            Assert.True(channel is null || (channel.Name.Length > 0 && channel.Path is null == (channel.Connection == ChannelConnection.Pty)), $"seed {seed}: {text}");
        }
    }

    private static ConfigurationResult Read(string line) =>
        ConfigurationReader.Read(new ConfigurationText("one.cfg", $"{Minimal}{line}\n", []), strict: false);
}
