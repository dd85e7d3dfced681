using Shinano.Machine;
using Shinano.Machine.Vnc;
using Shinano.Machine.Warm;

switch (args)
{
    case ["domain", "--spec", string spec]:
        return await DomainCommand.RunAsync(spec).ConfigureAwait(false);
    case ["domain", "--await", string socket]:
        return await AwaitCommand.RunAsync(socket).ConfigureAwait(false);
    case ["run", .. string[] options]:
        return await RunCommand.RunAsync(options).ConfigureAwait(false);
    case ["vnc-gate", string listen, string display, string last, string socket]:
        return await VncGateCommand.RunAsync(listen, display, last, socket).ConfigureAwait(false);
    default:
        await Console.Error.WriteLineAsync("usage: Shinano.Machine domain --spec FILE").ConfigureAwait(false);
        await Console.Error.WriteLineAsync("       Shinano.Machine run --kernel FILE [--ramdisk FILE] [--memory 256M] [--vcpus N] [--cmdline TEXT] [--stats]").ConfigureAwait(false);
        return ExitCodes.Usage;
}
