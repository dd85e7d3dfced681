namespace Shinano.Control.Configuration.Consoles;

/// <summary>What a channel leads to. Source: xl.cfg(5): <c>channel</c>, connection.</summary>
public enum ChannelConnection
{
    /// <summary>A console: <c>xm console -n</c> attaches to it.</summary>
    Pty,

    /// <summary>A unix socket of a given name, at which a program waits for its counterpart in the guest.</summary>
    Socket,
}
