using System.Text;

namespace Shinano.Linux;

/// <summary>
/// Where sockets, state, logs and caches live at run time.
/// </summary>
/// <remarks>
/// <para>
/// The order of precedence is: <c>SHINANO_HOME</c> (everything below one directory), then the system places for root, then the
/// XDG places of the user. The properties only compute; <see cref="CreateAll"/> and <see cref="EnsureDirectory(string)"/> create.
/// </para>
/// <code>
///               SHINANO_HOME=H     root                     user
/// run           H/run              /run/shinano             $XDG_RUNTIME_DIR/shinano, else STATE/run
/// state         H/state            /var/lib/shinano         $XDG_STATE_HOME/shinano (~/.local/state/shinano)
/// log           H/log              /var/log/shinano         STATE/log
/// cache         H/cache            /var/cache/shinano       $XDG_CACHE_HOME/shinano (~/.cache/shinano)
/// </code>
/// </remarks>
public sealed class ShinanoPaths
{
    /// <summary>The longest unix socket path in bytes, without the terminating NUL (unix(7): sun_path is 108 bytes).</summary>
    public const int MaximumSocketPathLength = 107;

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode WorldReadable = Private
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly UnixFileMode sharedMode;
    private readonly string? xenStoreSocketOverride;

    private ShinanoPaths(string run, string state, string log, string cache, UnixFileMode sharedMode, string? xenStoreSocket)
    {
        RunDirectory = run;
        StateDirectory = state;
        LogDirectory = log;
        CacheDirectory = cache;
        this.sharedMode = sharedMode;
        xenStoreSocketOverride = xenStoreSocket;
    }

    /// <summary>The places of this process, from its environment and its effective user.</summary>
    public static ShinanoPaths Current { get; } = FromEnvironment(Environment.GetEnvironmentVariable, ProcessIdentity.IsRoot);

    /// <summary>Sockets and pid files. Gone after a reboot of the host.</summary>
    public string RunDirectory { get; }

    /// <summary>What must survive a restart: xenstore's journal, managed domains.</summary>
    public string StateDirectory { get; }

    /// <summary>xend.log and one file per domain.</summary>
    public string LogDirectory { get; }

    /// <summary>What can be fetched again: guest kernels, firmware.</summary>
    public string CacheDirectory { get; }

    /// <summary>One directory per running domain is created below this one.</summary>
    public string DomainsRunDirectory => Path.Combine(RunDirectory, "domains");

    /// <summary>The socket of xend's own API.</summary>
    public string XendSocket => Path.Combine(RunDirectory, "xend.socket");

    /// <summary>The socket at which xend takes domains from other hosts, for <c>xm migrate-receive</c>.</summary>
    public string MigrationSocket => Path.Combine(RunDirectory, "migration");

    /// <summary>The socket at which our server listens for domain 0's xenstore clients.</summary>
    public string XenStoreServerSocket => Path.Combine(RunDirectory, "xenstored", "socket");

    /// <summary>
    /// The socket a xenstore client connects to: <c>XENSTORED_PATH</c> when it is set (as Xen's own tools do), else
    /// <see cref="XenStoreServerSocket"/>.
    /// </summary>
    public string XenStoreSocket => xenStoreSocketOverride ?? XenStoreServerSocket;

    /// <summary>The socket at which domain processes hand in what their guests put on the xenstore ring.</summary>
    public string XenStoreRelaySocket => Path.Combine(RunDirectory, "xenstored", "relay");

    /// <summary>The socket that streams xenstore's requests to xenstore-snoop.</summary>
    public string XenStoreSnoopSocket => Path.Combine(RunDirectory, "xenstored", "snoop");

    /// <summary>xenstore's journal and checkpoints.</summary>
    public string XenStoreStateDirectory => Path.Combine(StateDirectory, "xenstore");

    /// <summary>Computes the places from given variables; touches no file.</summary>
    /// <param name="getVariable">Returns the value of an environment variable, or null. An empty value counts as not set.</param>
    /// <param name="isRoot">Whether the system-wide places apply.</param>
    /// <exception cref="InvalidOperationException">Neither SHINANO_HOME, nor XDG variables, nor HOME say where to go.</exception>
    public static ShinanoPaths FromEnvironment(Func<string, string?> getVariable, bool isRoot)
    {
        ArgumentNullException.ThrowIfNull(getVariable);
        string? Get(string name) => getVariable(name) is { Length: > 0 } value ? value : null;
        string? xenStore = Get("XENSTORED_PATH");

        if (Get("SHINANO_HOME") is { } home)
        {
            return Under(home, xenStore);
        }

        if (isRoot)
        {
            return new ShinanoPaths(
                "/run/shinano", "/var/lib/shinano", "/var/log/shinano", "/var/cache/shinano", WorldReadable, xenStore);
        }

        string Xdg(string name, string belowHome) =>
            // XDG Base Directory Specification: a relative path in these variables is invalid and must be ignored.
            Get(name) is { } value && Path.IsPathRooted(value)
                ? value
                : Path.Combine(
                    Get("HOME") ?? throw new InvalidOperationException($"Neither SHINANO_HOME, {name} nor HOME is set."), belowHome);

        string state = Path.Combine(Xdg("XDG_STATE_HOME", ".local/state"), "shinano");
        string cache = Path.Combine(Xdg("XDG_CACHE_HOME", ".cache"), "shinano");
        string run = Get("XDG_RUNTIME_DIR") is { } runtime && Path.IsPathRooted(runtime)
            ? Path.Combine(runtime, "shinano")
            : Path.Combine(state, "run");
        return new ShinanoPaths(run, state, Path.Combine(state, "log"), cache, Private, xenStore);
    }

    /// <summary>All places below one directory, as <c>SHINANO_HOME</c> gives them.</summary>
    public static ShinanoPaths Under(string home) => Under(home, xenStoreSocket: null);

    /// <summary>Creates the four directories and <see cref="DomainsRunDirectory"/>: 0700, or 0755 where the system's are public.</summary>
    /// <exception cref="IOException">A directory cannot be created.</exception>
    public void CreateAll()
    {
        EnsureDirectory(RunDirectory, sharedMode);
        EnsureDirectory(DomainsRunDirectory, Private);
        EnsureDirectory(StateDirectory, Private);
        EnsureDirectory(LogDirectory, Private);
        EnsureDirectory(CacheDirectory, sharedMode);
    }

    /// <summary>Creates a directory (and its parents) with mode 0700 if it is not there; leaves an existing one as it is.</summary>
    /// <returns>The same path, for chaining.</returns>
    public static string EnsureDirectory(string path) => EnsureDirectory(path, Private);

    /// <summary>Prepares a path for a listening unix socket: checks its length and creates its directory (0700).</summary>
    /// <returns>The same path, for chaining.</returns>
    /// <exception cref="PathTooLongException">The path does not fit into sun_path.</exception>
    public static string PrepareSocketPath(string path)
    {
        CheckSocketPath(path);
        EnsureDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return path;
    }

    /// <summary>Checks that a path fits into a unix socket address.</summary>
    /// <exception cref="PathTooLongException">The path does not fit into sun_path.</exception>
    public static void CheckSocketPath(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        int length = Encoding.UTF8.GetByteCount(path);
        if (length > MaximumSocketPathLength)
        {
            throw new PathTooLongException(
                $"The unix socket path '{path}' has {length} bytes; Linux allows {MaximumSocketPathLength}. "
                + "Set SHINANO_HOME (or XDG_RUNTIME_DIR) to a shorter directory.");
        }
    }

    private static ShinanoPaths Under(string home, string? xenStoreSocket)
    {
        string root = Path.GetFullPath(home);
        return new ShinanoPaths(
            Path.Combine(root, "run"), Path.Combine(root, "state"), Path.Combine(root, "log"), Path.Combine(root, "cache"),
            Private, xenStoreSocket);
    }

    private static string EnsureDirectory(string path, UnixFileMode mode)
    {
        if (!Directory.Exists(path))
        {
            Directory.CreateDirectory(path, mode);
        }

        return path;
    }
}
