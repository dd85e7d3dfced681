using Shinano.Linux;

namespace Shinano.XenStore.Tests;

public sealed class ShinanoPathsTests
{
    [Fact]
    public void HomeGathersEverything()
    {
        ShinanoPaths paths = From(isRoot: true, ("SHINANO_HOME", "/x/y"), ("XDG_RUNTIME_DIR", "/run/user/1"));
        Assert.Equal("/x/y/run", paths.RunDirectory);
        Assert.Equal("/x/y/state", paths.StateDirectory);
        Assert.Equal("/x/y/log", paths.LogDirectory);
        Assert.Equal("/x/y/cache", paths.CacheDirectory);
        Assert.Equal("/x/y/run/xenstored/socket", paths.XenStoreSocket);
    }

    [Fact]
    public void RootHasTheSystemsPlaces()
    {
        ShinanoPaths paths = From(isRoot: true, ("XDG_RUNTIME_DIR", "/run/user/0"), ("HOME", "/root"));
        Assert.Equal("/run/shinano", paths.RunDirectory);
        Assert.Equal("/var/lib/shinano", paths.StateDirectory);
        Assert.Equal("/run/shinano/xenstored/socket", paths.XenStoreSocket);
    }

    [Fact]
    public void AUserHasTheXdgPlaces()
    {
        ShinanoPaths paths = From(isRoot: false, ("XDG_RUNTIME_DIR", "/run/user/1000"), ("HOME", "/home/u"), ("XDG_CACHE_HOME", "relative"));
        Assert.Equal("/run/user/1000/shinano", paths.RunDirectory);
        Assert.Equal("/home/u/.local/state/shinano", paths.StateDirectory);
        Assert.Equal("/home/u/.local/state/shinano/log", paths.LogDirectory);
        Assert.Equal("/home/u/.cache/shinano", paths.CacheDirectory);
        Assert.Equal("/home/u/.local/state/shinano/run", From(isRoot: false, ("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "")).RunDirectory);
    }

    [Fact]
    public void NoPlaceAtAllIsAnError() => Assert.Throws<InvalidOperationException>(() => From(isRoot: false));

    [Fact]
    public void ClientsFollowXensVariableAndTheServerDoesNot()
    {
        ShinanoPaths paths = From(isRoot: true, ("SHINANO_HOME", "/x"), ("XENSTORED_PATH", "/other"));
        Assert.Equal("/other", paths.XenStoreSocket);
        Assert.Equal("/x/run/xenstored/socket", paths.XenStoreServerSocket);
    }

    [Fact]
    public void DirectoriesArePrivate()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("shinano-paths-");
        try
        {
            ShinanoPaths paths = ShinanoPaths.Under(Path.Combine(directory.FullName, "home"));
            paths.CreateAll();
            const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
            foreach (string created in (string[])
                [paths.RunDirectory, paths.DomainsRunDirectory, paths.StateDirectory, paths.LogDirectory, paths.CacheDirectory])
            {
                Assert.Equal(Private, File.GetUnixFileMode(created));
            }
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void SocketPathsFitIntoTheirAddress()
    {
        ShinanoPaths.CheckSocketPath("/" + new string('x', 106));
        PathTooLongException refused = Assert.Throws<PathTooLongException>(() => ShinanoPaths.CheckSocketPath("/" + new string('x', 107)));
        Assert.Contains("SHINANO_HOME", refused.Message);
    }

    private static ShinanoPaths From(bool isRoot, params (string Name, string Value)[] variables) =>
        ShinanoPaths.FromEnvironment(name => variables.FirstOrDefault(variable => variable.Name == name).Value, isRoot);
}
